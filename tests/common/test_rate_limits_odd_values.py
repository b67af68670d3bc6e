"""Rate limits over odd values: they count as nothing, or end with the window at the latest."""

import time
from collections.abc import Sequence

import pytest

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient

LIMIT = RateLimit("few", 3, 60)
OTHER_TYPES = [("SET", "x"), ("ZADD", "1", "x"), ("RPUSH", "x"), ("SADD", "x")]
NOW = int(time.time() * 1e6)
FUTURE = NOW + 10**15

ODD_FIELDS = [
    "",
    "x",
    b"\xff\xfe",
    "1 1 0",
    "1 1 0 :1",
    "-1 -1 -1 -1:1",
    "nan nan nan nan:nan",
    f"{'9' * 400} 1 0 {FUTURE}:1",
    f"{'9' * 400} 1 0 {NOW}:1",
    f"1 1 {'9' * 400} {FUTURE}:1",
    f"1 1 {'9' * 400} {NOW}:1",
    f"1 99 0 {NOW}:1",
    f"1 1 0 {NOW}:1" + ",1:1" * 5000,
    f"1 1 0 {'9' * 400}:1",
    f"3 1 0 {FUTURE}:3,",
    f"0 0 0 {FUTURE}:0",
    "1 1 0 1:1" + ",1:1" * 5000,
]


@pytest.fixture
def limiter(redis_client: RedisClient) -> Limiter:
    return Limiter(redis_client, service="test")


@pytest.mark.parametrize("command", OTHER_TYPES, ids=lambda command: command[0])
def test_a_key_of_another_type_counts_as_nothing(limiter: Limiter, command: Sequence[str]) -> None:
    limiter.client.execute(command[0], "rate_limit:test:a", *command[1:])

    decision = limiter.hit(Charge(LIMIT, "a"))

    assert (decision.allowed, decision.remaining) == (True, 2)
    assert 0 < limiter.client.ttl("rate_limit:test:a") <= 60
    limiter.client.delete("rate_limit:test:a")
    limiter.client.execute(command[0], "rate_limit:test:a", *command[1:])
    limiter.refund(decision)
    assert limiter.hit(Charge(LIMIT, "a")).allowed


@pytest.mark.parametrize("text", ODD_FIELDS, ids=range(len(ODD_FIELDS)))
def test_an_odd_field_never_refuses_for_longer_than_the_window(
    limiter: Limiter, text: str | bytes
) -> None:
    limiter.client.execute("HSET", "rate_limit:test:a", LIMIT.field, text)

    for _ in range(5):
        decision = limiter.hit(Charge(LIMIT, "a"))
        assert 0 <= decision.retry_after <= 60
        assert 0 <= decision.remaining <= 3
        if decision.allowed:
            assert 0 < limiter.client.ttl("rate_limit:test:a") <= 60
        limiter.refund(decision)
