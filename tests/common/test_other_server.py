"""A value that another server answers with, which has taken the place of the trusted one."""

from collections.abc import Callable
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import (
    Cache,
    PendingKeys,
    Policy,
    RedisClient,
    Trust,
)

HOUR = Policy(ttl=3600)


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    cache = Cache(redis_client)
    cache.put_many({"a": "old", "b": "old"}, ttl=60)
    return cache


@pytest.fixture
def replaced(redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has a method of the client find another server, as a new connection does."""

    def replace(method: str) -> None:
        call = getattr(redis_client, method)

        def find_another(*args: Any, **options: Any) -> Any:
            redis_client.servers_seen += 1
            return call(*args, **options)

        monkeypatch.setattr(redis_client, method, find_another)

    return replace


def test_trust_in_one_server_is_none_in_another(redis_client: RedisClient) -> None:
    settled: list[PendingKeys] | None = []

    def read_pending() -> list[PendingKeys]:
        if settled is None:
            raise LookupError
        return settled

    trust = Trust(
        redis_client,
        seconds=3600,
        read_pending=read_pending,
        on_removed=lambda _: None,
        renew_soon=lambda: None,
    )
    assert trust.allows("a")
    assert trust.is_held

    settled = None
    redis_client.servers_seen += 1

    assert not trust.is_held
    assert not trust.allows("a")


def test_a_renewal_during_which_another_server_is_found_counts_in_that_one(
    redis_client: RedisClient,
) -> None:
    seen: list[int] = []

    def read_pending() -> list[PendingKeys]:
        seen.append(redis_client.servers_seen)
        redis_client.servers_seen = 1  # found by the first connection
        return []

    trust = Trust(
        redis_client,
        seconds=3600,
        read_pending=read_pending,
        on_removed=lambda _: None,
        renew_soon=lambda: None,
    )

    assert trust.allows("a")
    assert seen == [0, 1]


class TestRead:
    def test_is_a_miss(self, cache: Cache, replaced: Callable[[str], None]) -> None:
        replaced("get_with_ttl")

        assert cache.get("a") is None
        assert cache.get_or_load("a", lambda: "new", HOUR) == "new"

    def test_of_many_is_a_miss(self, cache: Cache, replaced: Callable[[str], None]) -> None:
        replaced("read_bytes")

        found = cache.get_many_or_load(["a", "b"], lambda names: dict.fromkeys(names, "new"), HOUR)

        assert found == {"a": "new", "b": "new"}

    def test_of_what_was_filled_after_the_miss_is_none(
        self, cache: Cache, redis_client: RedisClient, replaced: Callable[[str], None]
    ) -> None:
        redis_client.delete("a")
        replaced("run")
        ask = cache._leases.request

        def request(*args: Any, **options: Any) -> Any:
            redis_client.set_json("a", "old", ttl=60)  # by another process, on the other server
            return ask(*args, **options)

        cache._leases.request = request  # type: ignore[method-assign]

        assert cache.get_or_load("a", lambda: "new", HOUR) == "new"
