"""The scripts of the model do what the scripts of the services do, on a real server."""

from itertools import product
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisRefused,
    RedisSettings,
    Script,
    cache,
    keys,
)
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.raw_servers import UNUSED_PORT
from reliability.model import scripts
from reliability.model.rules import Rules
from reliability.model.scripts import Redis

K = keys.user(7)
LEASE, FENCE = keys.lease(K), keys.fence(K)
LONG = 60_000  # ms
FAR = 10**14  # a deadline, in ms
RULES = Rules()

TOKENS = (1, 2)
VALUES = (0, 1)
EXPIRED = 3  # the token of a fence whose deadline has passed

STATES = [
    Redis(value, lease, frozenset(fences))
    for value, lease, fences in product(
        (None, *VALUES), (None, *TOKENS), ((), TOKENS[:1], TOKENS[1:], TOKENS)
    )
]
CALLS: list[tuple[Any, ...]] = [
    *product(("miss", "refresh", "fence", "unfence", "expire fence"), TOKENS),
    *product(("fence and lease",), TOKENS),
    *product(("unfence and fill",), TOKENS, VALUES),
    *product(("publish",), TOKENS, VALUES),
    ("expire lease",),
    ("replay",),
    ("renew",),
]


def modelled(redis: Redis, call: tuple[Any, ...]) -> tuple[Redis, Any]:
    """The state after a call, and its answer, by the model."""
    match call:
        case ("miss" | "refresh" as name, token):
            seen = redis.fills if name == "refresh" else None
            after, answer = scripts.miss(redis, token, seen=seen)
            return after, [answer, str(after.value)] if answer == "hit" else [answer]
        case ("publish", token, value):
            after, accepted = scripts.publish(redis, token, value, RULES)
            return after._replace(fills=0), int(accepted)
        case ("fence", token):
            return scripts.fence(redis, token, RULES), None
        case ("unfence", token):
            return scripts.unfence(redis, token, RULES), None
        case ("fence and lease", token):
            return scripts.fence(redis, token, RULES, fills=True), None
        case ("unfence and fill", token, value):
            return scripts.unfence(redis, token, RULES, fill=value), None
        case ("expire fence", token):
            return redis._replace(fences=redis.fences - {token}), None
        case ("expire lease",):
            return redis._replace(lease=None), None
        case ("renew",):
            return scripts.renew(redis, RULES), None
    return scripts.replay(redis, RULES), None


def executed(client: RedisClient, call: tuple[Any, ...]) -> Any:
    """The answer of Redis to the same call."""
    match call:
        case ("miss" | "refresh" as name, token):
            args = [token, LONG, int(name == "refresh"), LONG]
            return run(client, "miss", [K, LEASE, FENCE], args)
        case ("publish", token, value):
            return run(client, "publish", [K, LEASE], [token, value, LONG])
        case ("fence", token):
            return run(client, "fence", [K, LEASE, FENCE], [token, LONG])
        case ("unfence", token):
            return run(client, "unfence", [K, LEASE, FENCE], [token])
        case ("fence and lease", token):
            return run(client, "fence", [K, LEASE, FENCE], [token, LONG, LONG])
        case ("unfence and fill", token, value):
            return run(client, "unfence", [K, LEASE, FENCE], [token, value, LONG])
        case ("renew",):
            return run(client, "renew", [keys.CACHE_RENEWAL, K, LEASE], [])
        case ("expire fence", token):
            client.execute("ZADD", FENCE, "XX", 1, token)  # a deadline that has passed
        case ("expire lease",):
            client.execute("DEL", LEASE)
        case _:
            client.execute("UNLINK", LEASE, K)
    return None


def run(client: RedisClient, name: str, names: list[str], args: list[str | int]) -> Any:
    return client.run(Script.load(cache.__name__, name), names, args)


def stored(client: RedisClient) -> Redis:
    """What Redis holds, without the expired fences."""
    value, lease = client.get(K), client.get(LEASE)
    return Redis(
        value=None if value is None else int(value),
        lease=None if lease is None else int(lease),
        fences=frozenset(map(int, client.execute("ZRANGEBYSCORE", FENCE, 2, "+inf"))),
    )


def put(client: RedisClient, redis: Redis, *, expired: bool) -> None:
    client.delete(K, LEASE, FENCE)
    for key, text in ((K, redis.value), (LEASE, redis.lease)):
        if text is not None:
            client.set(key, str(text), ttl=60)
    deadlines = dict.fromkeys(redis.fences, FAR) | ({EXPIRED: 1} if expired else {})
    for token, deadline in deadlines.items():
        client.execute("ZADD", FENCE, deadline, token)
    client.expire(FENCE, 60)


@pytest.mark.parametrize("expired", [False, True], ids=["", "with an expired fence"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(map(str, call)))
def test_a_script_does_to_every_state_what_its_model_does(
    redis_client: RedisClient, call: tuple[Any, ...], expired: bool
) -> None:
    for state in STATES:
        put(redis_client, state, expired=expired)

        answer = executed(redis_client, call)

        assert (stored(redis_client), answer) == modelled(state, call), state


def test_a_renewal_is_refused_by_a_server_that_refuses_writes(own_redis: RedisServer) -> None:
    client = RedisClient.connect(RedisSettings.load(url=own_redis.url, _env_file=None), db=0)
    state = Redis(value=1)
    put(client, state, expired=False)
    client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)

    for names in ([K, LEASE], []):
        with pytest.raises(RedisRefused) as refusal:
            run(client, "renew", [keys.CACHE_RENEWAL, *names], [])
        assert refusal.value.code == "READONLY"

    assert stored(client) == state
    client.close()
