"""Cached values on a real server."""

import pytest

from common.pyportal_common.cache_handlers import Cache, RedisClient

MISS = object()


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    return Cache(redis_client)


def test_what_was_put_is_got(cache: Cache) -> None:
    assert cache.put("user:1", {"id": 1, "firstName": "José"}, ttl=60) is True

    assert cache.get("user:1") == {"id": 1, "firstName": "José"}


def test_a_miss_is_the_default(cache: Cache) -> None:
    assert cache.get("user:1") is None
    assert cache.get("user:1", MISS) is MISS


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
def test_a_cached_nothing_is_not_a_miss(cache: Cache, value: object) -> None:
    cache.put("k", value, ttl=60)

    assert cache.get("k", MISS) == value


def test_redis_holds_plain_json_and_an_end(cache: Cache, redis_client: RedisClient) -> None:
    cache.put("user:1", {"id": 1}, ttl=3600)

    assert redis_client.get("user:1") == '{"id":1}'
    assert 3599 <= redis_client.ttl("user:1") <= 3600


def test_many_values_go_together(cache: Cache, redis_client: RedisClient) -> None:
    cache.put_many({"a": 1, "b": [2]}, ttl=60)

    assert (cache.get("a"), cache.get("b")) == (1, [2])
    assert redis_client.ttl("b") > 50


def test_invalidate_removes(cache: Cache) -> None:
    cache.put_many({"a": 1, "b": 2}, ttl=60)

    assert cache.invalidate("a", "b", "c") == 2
    assert cache.get("a") is None


def test_a_key_of_another_type_is_a_miss(cache: Cache, redis_client: RedisClient) -> None:
    redis_client.hset("k", "field", "value")

    assert cache.get("k", MISS) is MISS
    assert cache.put("k", 1, ttl=60) is True
    assert cache.get("k") == 1


@pytest.mark.parametrize("stored", ["not json", "", b"\xff\xfe", "[" * 100_000])
def test_what_is_no_json_is_a_miss(
    cache: Cache, redis_client: RedisClient, stored: str | bytes
) -> None:
    redis_client.set("k", stored)

    assert cache.get("k", MISS) is MISS
    assert cache.put("k", 1, ttl=60) is True
    assert cache.get("k") == 1
