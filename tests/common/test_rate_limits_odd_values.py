"""Rate limits over odd values: they count as nothing, or end with the window at the latest."""

import time
from collections.abc import Sequence

import pytest

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient

from .limit_states import State

LIMIT = RateLimit("few", 3, 60)
OTHER_TYPES = [("SET", "x"), ("ZADD", "1", "x"), ("RPUSH", "x"), ("SADD", "x")]
NOW = int(time.time() * 1e6)
FUTURE = NOW + 10**15
WIDEST = 2**56 - 1
NOW_STATE = State([(NOW, 1)])

ODD_FIELDS = [
    b"",
    b"x",
    b"\xff\xfe",
    f"3 1 0 {NOW}:3".encode(),  # of an earlier release
    b"\x01" + b"\xff" * 29,
    b"\x01" + b"\x00" * 29,
    b"\x01" + b"\xff" * (18 + 16 * 11),
    NOW_STATE.pack(used=2**32 - 1),
    NOW_STATE.pack(used=0),
    NOW_STATE.pack(older=255),
    NOW_STATE.pack(older=64, used=2**32 - 1),
    NOW_STATE.pack(oldest=0),
    NOW_STATE.pack(oldest=WIDEST),
    NOW_STATE.pack(lives_until=2**48 - 1),
    NOW_STATE.pack(lives_until=NOW // 1000 + 10**9),
    State([(FUTURE, 3)]).pack(),
    State([(WIDEST, 2**32 - 1)] * 16).pack(used=2**32 - 1),
    State([(FUTURE, 1), (NOW, 3)]).pack(),
    State([(FUTURE, 1), (1, 2), (NOW, 3)]).pack(),
    State([(1, 2), (NOW, 3), (FUTURE, 3)]).pack(used=0),
    State([(NOW, 0)]).pack(),
]


@pytest.fixture
def limiter(redis_client: RedisClient) -> Limiter:
    return Limiter(redis_client, service="test")


@pytest.mark.parametrize("command", OTHER_TYPES, ids=lambda command: command[0])
def test_a_key_of_another_type_counts_as_nothing(limiter: Limiter, command: Sequence[str]) -> None:
    limiter.client.execute(command[0], "rate_limit:test:a", *command[1:])

    decision = limiter.hit(Charge(LIMIT, "a"))

    assert (decision.allowed, decision.remaining) == (True, 2)
    assert 0 < limiter.client.ttl("rate_limit:test:a") <= 68
    limiter.client.delete("rate_limit:test:a")
    limiter.client.execute(command[0], "rate_limit:test:a", *command[1:])
    limiter.refund(decision)
    assert limiter.hit(Charge(LIMIT, "a")).allowed


@pytest.mark.parametrize("text", ODD_FIELDS, ids=range(len(ODD_FIELDS)))
def test_an_odd_field_never_refuses_for_longer_than_the_window(
    limiter: Limiter, text: bytes
) -> None:
    limiter.client.execute("HSET", "rate_limit:test:a", LIMIT.field, text)

    for _ in range(5):
        decision = limiter.hit(Charge(LIMIT, "a"))
        assert 0 <= decision.retry_after <= 60
        assert 0 <= decision.reset_after <= 60
        assert 0 <= decision.remaining <= 3
        if decision.allowed:
            assert 0 < limiter.client.ttl("rate_limit:test:a") <= 68
        limiter.refund(decision)


def test_a_state_whose_first_entry_is_later_than_its_newest_counts_as_nothing(
    limiter: Limiter,
) -> None:
    text = State([(NOW, 3)]).pack(oldest=FUTURE)
    limiter.client.execute("HSET", "rate_limit:test:a", LIMIT.field, text)

    assert limiter.hit(Charge(LIMIT, "a")).remaining == 2
