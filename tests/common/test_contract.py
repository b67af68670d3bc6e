"""Rate limits on every kind of server."""

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient


def test_a_limit_and_clear(client: RedisClient) -> None:
    limiter = Limiter(client, service="usermanagement")
    rate_limit = RateLimit("register", limit=3, window=60)

    decisions = [limiter.hit(Charge(rate_limit, "127.0.0.1")) for _ in range(5)]

    assert [decision.allowed for decision in decisions] == [True] * 3 + [False] * 2
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]
    assert {decision.retry_after for decision in decisions[3:]} <= {59, 60}
    assert 59 <= client.ttl("rate_limit:usermanagement:127.0.0.1") <= 60
    limiter.clear("127.0.0.1")
    assert limiter.hit(Charge(rate_limit, "127.0.0.1")).remaining == 2


def test_merged_entries_are_counted_and_refunded(client: RedisClient) -> None:
    limiter = Limiter(client)
    charge = Charge(RateLimit("search", limit=150, window=60), "a")

    decisions = [limiter.hit(charge) for _ in range(200)]

    assert sum(decision.allowed for decision in decisions) == 150
    state = client.hget("rate_limit:a", "search/60")
    assert state is not None
    assert state.count(":") <= 64
    assert sum(int(entry.split(":")[1]) for entry in state.split(",")) == 150
    for decision in decisions[:99]:
        limiter.refund(decision)
    assert limiter.hit(charge).remaining == 98
    limiter.refund(decisions[149])
    assert limiter.hit(Charge(charge.rate_limit, "a", cost=99)).remaining == 0
    assert limiter.hit(charge).allowed is False


def test_several_limits_are_charged_together_or_not_at_all(client: RedisClient) -> None:
    limiter = Limiter(client)
    charges = Charge(RateLimit("narrow", 1, 60), "a"), Charge(RateLimit("wide", 10, 3600), "b")

    assert [limiter.hit(*charges).allowed for _ in range(2)] == [True, False]
    assert limiter.hit(charges[1]).remaining == 8
