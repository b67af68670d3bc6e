"""What the layer's parts promise on every kind of server. The client's own is test_redis_client."""

from common.pyportal_common.cache_handlers import Cache, Charge, Limiter, RateLimit, RedisClient


def test_cached_values(client: RedisClient) -> None:
    cache = Cache(client)

    assert cache.put("user:1", {"id": 1, "tags": []}, ttl=60) is True
    assert cache.put_many({"a": 1, "b": None}, ttl=60) is True

    assert client.get("user:1") == '{"id":1,"tags":[]}'
    assert 59 <= client.ttl("user:1") <= 60
    assert cache.get("user:1") == {"id": 1, "tags": []}
    assert cache.get("b", "miss") is None
    assert cache.get("c", "miss") == "miss"
    assert cache.invalidate("user:1", "a", "c") == 2
    assert cache.get("user:1") is None


def test_a_limit(client: RedisClient) -> None:
    limiter = Limiter(client, service="usermanagement")
    policy = RateLimit("register", limit=3, window=60)

    decisions = [limiter.hit(Charge(policy, "127.0.0.1")) for _ in range(5)]

    assert [decision.allowed for decision in decisions] == [True] * 3 + [False] * 2
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]
    assert {decision.retry_after for decision in decisions[3:]} <= {59, 60}
    assert 59 <= client.ttl("rate_limit:usermanagement:127.0.0.1") <= 60
    limiter.clear("127.0.0.1")
    assert limiter.hit(Charge(policy, "127.0.0.1")).remaining == 2


def test_many_entries_are_merged_and_counted(client: RedisClient) -> None:
    limiter = Limiter(client)
    policy = RateLimit("search", limit=150, window=60)

    allowed = sum(limiter.hit(Charge(policy, "a")).allowed for _ in range(200))

    assert allowed == 150
    state = client.hget("rate_limit:a", "search/60")
    assert state is not None
    assert state.count(":") <= 64
    assert sum(int(entry.split(":")[1]) for entry in state.split(",")) == 150


def test_refunds_of_merged_entries_and_of_the_last(client: RedisClient) -> None:
    limiter = Limiter(client)
    policy = RateLimit("search", limit=150, window=60)
    decisions = [limiter.hit(Charge(policy, "a")) for _ in range(100)]

    for decision in decisions[:99]:
        limiter.refund(decision)

    assert limiter.hit(Charge(policy, "a")).remaining == 148
    limiter.refund(decisions[99])
    assert limiter.hit(Charge(policy, "a", cost=149)).remaining == 0
    assert limiter.hit(Charge(policy, "a")).allowed is False


def test_several_limits_are_all_or_none(client: RedisClient) -> None:
    limiter = Limiter(client)
    narrow, wide = RateLimit("narrow", 1, 60), RateLimit("wide", 10, 3600)

    assert limiter.hit(Charge(narrow, "a"), Charge(wide, "b")).allowed is True
    assert limiter.hit(Charge(narrow, "a"), Charge(wide, "b")).allowed is False

    assert limiter.hit(Charge(wide, "b")).remaining == 8
