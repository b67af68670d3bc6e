"""Plain cached values, on every kind of server."""

import pytest

from common.pyportal_common.cache_handlers import Cache, RedisClient

MISS = object()


@pytest.fixture
def cache(client: RedisClient) -> Cache:
    return Cache(client)


def test_a_value_is_stored_as_plain_json_with_a_ttl(cache: Cache) -> None:
    value = {"id": 1, "firstName": "José", "tags": []}
    assert cache.put("user:1", value, ttl=3600) is True

    assert cache.get("user:1") == value
    assert cache.client.get("user:1") == '{"id":1,"firstName":"Jos\\u00e9","tags":[]}'
    assert 3599 <= cache.client.ttl("user:1") <= 3600


def test_a_miss_returns_the_default(cache: Cache) -> None:
    assert cache.get("user:1") is None
    assert cache.get("user:1", MISS) is MISS


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
def test_an_empty_value_is_not_a_miss(cache: Cache, value: object) -> None:
    cache.put("k", value, ttl=60)

    assert cache.get("k", MISS) == value


def test_several_values_are_stored_and_invalidated_together(cache: Cache) -> None:
    assert cache.put_many({"a": 1, "b": [2]}, ttl=60) is True
    assert (cache.get("a"), cache.get("b")) == (1, [2])
    assert cache.client.ttl("b") > 50

    assert cache.invalidate("a", "b", "c") == 2
    assert cache.get("a", MISS) is MISS


def test_a_key_of_another_type_is_a_miss_and_can_be_filled(cache: Cache) -> None:
    cache.client.hset("k", "field", "value")

    assert cache.get("k", MISS) is MISS
    assert cache.put("k", 1, ttl=60) is True
    assert cache.get("k") == 1


@pytest.mark.parametrize("stored", ["not json", "", b"\xff\xfe", "[" * 100_000])
def test_invalid_json_is_a_miss_and_can_be_filled(
    redis_client: RedisClient, stored: str | bytes
) -> None:
    cache = Cache(redis_client)
    redis_client.set("k", stored)

    assert cache.get("k", MISS) is MISS
    assert cache.put("k", 1, ttl=60) is True
    assert cache.get("k") == 1
