"""What a call of the Redis layer costs, beside redis-py's own GET in the same run."""

import json
import time
from collections.abc import Callable
from itertools import count
from statistics import median

import redis
from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    RedisSettings,
)
from common.pyportal_common.redis_server import RedisServer

from .servers import own_redis

_ROUNDS = 200
_CALLS = 70

USER = {
    "id": 1,
    "username": "john_doe",
    "email": "john@example.com",
    "firstName": "John",
    "lastName": "Doe",
    "dateOfBirth": "1990-01-01",
    "createdAt": "2026-01-01T00:00:00Z",
    "updatedAt": "2026-01-01T00:00:00Z",
}


def run() -> None:
    """Print a table: microseconds a call, and the ratio to the first line."""
    with own_redis() as (server, _):
        _compare(server)


def _compare(server: RedisServer) -> None:
    plain = redis.Redis(port=server.port, decode_responses=True)
    settings = RedisSettings.load(url=server.url, _env_file=None)
    client = RedisClient.connect(settings, db=0)
    cache, limiter = Cache(client), Limiter(client, service="bench")
    client.set_json("user:1", USER, ttl=3600)
    for_an_hour = Policy(ttl=3600)
    one = Charge(RateLimit("one", 1_000_000_000, 3600), "one")
    policies = [RateLimit(name, 1_000_000_000, 3600) for name in ("a", "b", "c")]
    three = [Charge(policy, "three") for policy in policies]
    apart = [Charge(policy, f"three-{policy.name}") for policy in policies]
    refused = Charge(RateLimit("refused", 1, 3600), "refused")
    fresh = count()

    calls: dict[str, Callable[[], object]] = {
        "redis-py: GET": lambda: plain.get("user:1"),
        "redis-py: GET and json.loads": lambda: json.loads(str(plain.get("user:1"))),
        "RedisClient.get": lambda: client.get("user:1"),
        "Cache.get": lambda: cache.get("user:1"),
        "Cache.get_or_load, a hit": lambda: cache.get_or_load("user:1", dict, for_an_hour),
        "redis-py: SET": lambda: plain.set("k", "v", ex=60),
        "Cache.put": lambda: cache.put("k", USER, ttl=60),
        "Limiter.hit, a new identifier": lambda: limiter.hit(
            Charge(one.rate_limit, str(next(fresh)))
        ),
        "Limiter.hit, 64 entries": lambda: limiter.hit(one),
        "Limiter.hit, 64 entries, three policies": lambda: limiter.hit(*three),
        "Limiter.hit, 64 entries, three identifiers": lambda: limiter.hit(*apart),
        "Limiter.hit, refused": lambda: limiter.hit(refused),
    }
    times = _measure(calls)
    base = times["redis-py: GET"]
    print(f"{'call':<42} {'µs':>7} {'ratio':>7}")
    for name, microseconds in times.items():
        print(f"{name:<42} {microseconds:>7.0f} {microseconds / base:>7.2f}")
    state = client.hgetall("rate_limit:bench:one")["one/3600"]
    print(f"\nstate of a policy after {_ROUNDS * _CALLS} hits: {len(state)} bytes")
    plain.close()
    client.close()


def _measure(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median µs a call. The rounds are interleaved: a noisy second hits all of them alike."""
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(_CALLS):
                call()
            rounds[name].append((time.perf_counter() - began) / _CALLS * 1e6)
    return {name: median(values) for name, values in rounds.items()}
