"""The cost of a call of the Redis layer, beside redis-py's own GET in the same run."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import redis

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
)

from ..scale import Scale
from ..servers import connected, temporary_redis
from ..tables import Aim, Report, ratios
from ..timing import microseconds, table_of_times

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

_NEVER_REACHED = 1_000_000_000
_HOUR = 3600  # seconds: 64 entries are in the window most of the time
_AIMS = {"Limiter.hit, 64 entries": 1.2, "Limiter.hit, 64 entries, three limits": 1.5}


def run(scale: Scale) -> Report:
    """Measure the microseconds of a call."""
    with (
        temporary_redis() as (server, _),
        redis.Redis(port=server.port, decode_responses=True) as plain,
        connected(server) as client,
    ):
        client.set_json("user:1", USER, ttl=_HOUR)
        calls = _cache_calls(plain, client) | _limiter_calls(client)
        times = microseconds(calls, rounds=scale.rounds, slices=scale.slices, each=scale.calls)
        bytes_used = client.execute("MEMORY", "USAGE", "rate_limit:bench:one")
    table = table_of_times("call", times)
    table.note = f"A full rate limit takes {bytes_used} bytes of Redis, its key included."
    base = times["redis-py: GET"]
    return Report(
        [table],
        [
            Aim(f"`{name}` ÷ redis-py `GET`", ratios(times[name], base), at_most=bound)
            for name, bound in _AIMS.items()
        ],
    )


def _cache_calls(plain: Any, client: RedisClient) -> dict[str, Callable[[], object]]:
    cache, policy = Cache(client), Policy(ttl=_HOUR)
    return {
        "redis-py: GET": lambda: plain.get("user:1"),
        "redis-py: GET and json.loads": lambda: json.loads(str(plain.get("user:1"))),
        "RedisClient.get": lambda: client.get("user:1"),
        "Cache.get": lambda: cache.get("user:1"),
        "Cache.get_or_load, a hit": lambda: cache.get_or_load("user:1", dict, policy),
        "redis-py: SET": lambda: plain.set("k", "v", ex=60),
        "Cache.put": lambda: cache.put("k", USER, ttl=60),
    }


def _limiter_calls(client: RedisClient) -> dict[str, Callable[[], object]]:
    limiter = Limiter(client, service="bench")
    one = RateLimit("one", _NEVER_REACHED, _HOUR)
    limits = [RateLimit(name, _NEVER_REACHED, _HOUR) for name in ("a", "b", "c")]
    one_identifier = [Charge(limit, "three") for limit in limits]
    three_identifiers = [Charge(limit, f"three-{limit.name}") for limit in limits]
    refused = Charge(RateLimit("refused", 1, _HOUR), "refused")
    fresh = count()
    return {
        "Limiter.hit, a new identifier": lambda: limiter.hit(Charge(one, str(next(fresh)))),
        "Limiter.hit, 64 entries": lambda: limiter.hit(Charge(one, "one")),
        "Limiter.hit, 64 entries, three limits": lambda: limiter.hit(*one_identifier),
        "Limiter.hit, 64 entries, three identifiers": lambda: limiter.hit(*three_identifiers),
        "Limiter.hit, refused": lambda: limiter.hit(refused),
    }
