"""Values that are refreshed in the background: before they expire, when stale, after failures."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient
from common.pyportal_common.cache_handlers.cache.leases import Leases
from common.pyportal_common.cache_handlers.cache.refresh import Refresher
from common.pyportal_common.redis_server import RedisServer

from .load import Connect
from .waiting import wait_until


class Loader:
    """Counts its calls, and how many ran at once at most."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls = 0
        self.max_at_once = 0
        self.fails = False
        self._at_once = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.calls += 1
            call = self.calls
            self._at_once += 1
            self.max_at_once = max(self.max_at_once, self._at_once)
        time.sleep(self.seconds)
        with self._lock:
            self._at_once -= 1
        if self.fails:
            raise LookupError("the database is down")
        return call


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    return Cache(redis_client)


def age(cache: Cache, left: float) -> None:
    """Make the value expire in `left` seconds."""
    cache.client.expire("item:1", left)


STALE = Policy(ttl=60, stale_for=30, jitter=0)


class TestStaleValues:
    def test_a_stale_value_is_served_and_refreshed_once(self, cache: Cache) -> None:
        ends = threading.Event()
        calls: list[int] = []

        def load() -> int:
            calls.append(len(calls) + 1)
            if len(calls) > 1:
                ends.wait(30)
            return len(calls)

        assert cache.get_or_load("item:1", load, STALE) == 1
        assert 89 <= cache.client.ttl("item:1") <= 90
        age(cache, left=20)

        assert {cache.get_or_load("item:1", load, STALE) for _ in range(20)} == {1}

        ends.set()
        wait_until(lambda: cache.get_or_load("item:1", load, STALE) == 2)
        assert calls == [1, 2]
        assert cache.client.ttl("item:1") > 80

    def test_a_fresh_value_is_not_refreshed(self, cache: Cache) -> None:
        load = Loader()
        cache.get_or_load("item:1", load, STALE)
        age(cache, left=45)

        for _ in range(50):
            cache.get_or_load("item:1", load, STALE)

        time.sleep(0.1)
        assert load.calls == 1

    def test_a_value_without_expiry_is_refreshed(self, cache: Cache) -> None:
        cache.client.set("item:1", "7")
        load = Loader()

        assert cache.get_or_load("item:1", load, STALE) == 7

        wait_until(lambda: cache.client.get("item:1") == "1")
        assert cache.client.ttl("item:1") > 0

    def test_with_a_soft_timeout_a_reader_waits_for_the_new_value(self, cache: Cache) -> None:
        patient = Policy(ttl=60, stale_for=30, soft_timeout=2)
        hasty = Policy(ttl=60, stale_for=30, soft_timeout=0.01)
        load = Loader(seconds=0.1)
        cache.get_or_load("item:1", load, patient)

        age(cache, left=20)
        assert cache.get_or_load("item:1", load, patient) == 2
        age(cache, left=20)
        assert cache.get_or_load("item:1", load, hasty) == 2
        wait_until(lambda: load.calls == 3)

    def test_a_value_invalidated_during_the_refresh_is_not_filled(self, cache: Cache) -> None:
        load = Loader(seconds=0.3)
        cache.get_or_load("item:1", load, STALE)
        age(cache, left=20)
        cache.get_or_load("item:1", load, STALE)
        wait_until(lambda: load.calls == 2)

        cache.invalidate("item:1")

        time.sleep(0.5)
        assert cache.client.get("item:1") is None

    @pytest.mark.parametrize("ttl", [20, None], ids=["stale", "without expiry"])
    def test_a_reader_that_was_overtaken_by_a_refresh_does_not_load_again(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch, ttl: float | None
    ) -> None:
        client, load = cache.client, Loader()
        client.set("item:1", "7", ttl=ttl)
        read = client.get_with_ttl

        def read_then_be_overtaken(key: str) -> tuple[str | None, int]:
            found = read(key)
            client.set("item:1", "8", ttl=90)  # as the refresh of another reader
            return found

        monkeypatch.setattr(client, "get_with_ttl", read_then_be_overtaken)
        patient = Policy(ttl=60, stale_for=30, soft_timeout=10)

        value = cache.get_or_load("item:1", load, patient)

        assert value == 8
        assert load.calls == 0
        assert client.get("item:1") == "8"

    def test_a_key_that_became_another_type_is_refreshed(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client, load = cache.client, Loader()
        client.hset("item:1", "a", "b")
        client.expire("item:1", 90)
        monkeypatch.setattr(client, "get_with_ttl", lambda _: ("7", 20_000))
        patient = Policy(ttl=60, stale_for=30, soft_timeout=10)

        assert cache.get_or_load("item:1", load, patient) == 1
        assert client.get("item:1") == "1"

    def test_two_processes_refresh_once(
        self, cache: Cache, redis_server: RedisServer, connect: Connect
    ) -> None:
        other = Cache(connect(redis_server))
        load = Loader(seconds=0.3)
        cache.get_or_load("item:1", load, STALE)
        age(cache, left=20)

        for each in (cache, other):
            assert each.get_or_load("item:1", load, STALE) == 1

        wait_until(lambda: cache.client.get("item:1") == "2")
        assert load.max_at_once == 1
        assert load.calls == 2


class TestHotKey:
    """Eight threads read one key all the time."""

    @pytest.fixture
    def read_for(self, cache: Cache) -> Callable[..., list[float]]:
        def read_for(seconds: float, load: Loader, policy: Policy) -> list[float]:
            def read() -> list[float]:
                durations, until = [], time.monotonic() + seconds
                while time.monotonic() < until:
                    started = time.monotonic()
                    cache.get_or_load("item:1", load, policy)
                    durations.append(time.monotonic() - started)
                return durations

            with ThreadPoolExecutor(8) as pool:
                readers = [pool.submit(read) for _ in range(8)]
            return [duration for reader in readers for duration in reader.result()]

        return read_for

    def test_one_reader_refreshes_and_none_waits(
        self, cache: Cache, read_for: Callable[..., list[float]]
    ) -> None:
        policy = Policy(ttl=0.5, stale_for=30)
        load = Loader(seconds=0.8)
        cache.get_or_load("item:1", load, policy)

        durations = read_for(4, load, policy)

        assert max(durations) < load.seconds  # no reader waited for a load
        assert sum(durations) / len(durations) < 0.1
        assert load.max_at_once == 1
        assert 3 <= load.calls <= 6

    def test_while_loads_fail_the_value_is_served_and_one_reader_retries_at_a_time(
        self, cache: Cache, read_for: Callable[..., list[float]]
    ) -> None:
        policy = Policy(ttl=0.2, stale_for=30, retry=0.3)
        load = Loader(seconds=0.05)
        cache.get_or_load("item:1", load, policy)
        load.fails = True

        read_for(3, load, policy)

        assert load.max_at_once == 1
        assert 4 <= load.calls <= 12  # 3 s, with one attempt in 0.35 s
        before, load.fails = load.calls, False
        wait_until(lambda: cache.get_or_load("item:1", load, policy) > before, seconds=1.5)


class TestEarlyRefresh:
    """XFetch: the sooner the value expires and the slower its load, the likelier."""

    def refresher(self, redis_client: RedisClient, chance: float) -> Refresher:
        return Refresher(Leases(redis_client), lambda *_: None, chance=lambda: chance)

    @pytest.mark.parametrize(
        ("beta", "left", "chance", "due"),
        [
            (1, 4.0, math.exp(-2) - 0.01, True),
            (1, 4.0, math.exp(-2) + 0.01, False),
            (1, 0.1, 0.9, True),
            (1, 3600.0, 0.0, False),
            (0, 0.001, 0.0, False),  # never
        ],
    )
    def test_probability(
        self, redis_client: RedisClient, beta: float, left: float, chance: float, due: bool
    ) -> None:
        policy = Policy(ttl=3600, beta=beta)
        refresher = self.refresher(redis_client, chance)
        refresher.record_load_time(2.0, policy)

        assert refresher.is_due(int(left * 1000), policy) is due

    def test_the_load_time_is_a_moving_average_of_each_policy(
        self, redis_client: RedisClient
    ) -> None:
        slow, quick = Policy(ttl=3600), Policy(ttl=60)
        refresher = self.refresher(redis_client, chance=0.5)
        for seconds in (1.0, 2.0, 2.0):
            refresher.record_load_time(seconds, slow)
        refresher.record_load_time(0.001, quick)

        assert refresher.is_due(900, slow)  # exp(-0.9 / 1.36) = 0.52
        assert not refresher.is_due(1000, slow)
        assert not refresher.is_due(900, quick)

    def test_a_value_is_refreshed_before_it_expires(self, cache: Cache) -> None:
        policy = Policy(ttl=60, jitter=0)
        load = Loader(seconds=0.2)
        cache.get_or_load("item:1", load, policy)
        age(cache, left=0.3)

        wait_until(lambda: cache.get_or_load("item:1", load, policy) == 2, seconds=1)

        assert cache.client.ttl("item:1") > 50


class TestDecorator:
    def test_results_are_cached_by_arguments_until_invalidated(self, cache: Cache) -> None:
        calls = []

        @cache.cached(lambda item_id: f"item:{item_id}", Policy(ttl=60))
        def load_item(item_id: int) -> dict[str, int]:
            """An item."""
            calls.append(item_id)
            return {"id": item_id}

        assert [load_item(1), load_item(1), load_item(2)] == [{"id": 1}, {"id": 1}, {"id": 2}]
        assert calls == [1, 2]
        assert cache.client.get("item:1") == '{"id":1}'
        assert load_item.__doc__ == "An item."

        assert load_item.invalidate(1) == 1
        load_item(1)
        assert calls == [1, 2, 1]
