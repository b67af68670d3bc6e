"""get_or_load: one loader of all readers, and no value that was invalidated meanwhile."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from common.pyportal_common.cache_handlers import (
    Cache,
    Fill,
    Observer,
    Policy,
    RedisClient,
    RedisUnavailable,
    keys,
)
from common.pyportal_common.redis_server import RedisServer

from .load import Connect, start
from .waiting import wait_until

HOUR = Policy(ttl=3600)


@pytest.fixture
def cache(client: RedisClient) -> Cache:
    return Cache(client)


def never() -> object:
    raise AssertionError("nothing should be loaded")


class TestOneReader:
    def test_a_miss_loads_and_fills_and_a_hit_does_not(self, cache: Cache) -> None:
        value = {"id": 1, "tags": []}
        assert cache.get_or_load("user:1", lambda: value, HOUR) == value

        assert cache.get_or_load("user:1", never, HOUR) == value
        assert cache.client.get("user:1") == '{"id":1,"tags":[]}'
        assert list(cache.client.scan("lease:*")) == []

    def test_jitter_shortens_the_time_to_live(self, cache: Cache) -> None:
        for n in range(30):
            cache.get_or_load(f"k{n}", lambda: 1, replace(HOUR, jitter=0.1))

        lives = [cache.client.ttl(f"k{n}") for n in range(30)]
        assert all(3239 <= seconds <= 3600 for seconds in lives)
        assert len(set(lives)) > 3

    def test_none_is_cached_for_the_negative_ttl(self, cache: Cache) -> None:
        policy = replace(HOUR, negative_ttl=10)

        assert cache.get_or_load("user:404", lambda: None, policy) is None

        assert cache.get_or_load("user:404", never, policy) is None
        assert cache.client.ttl("user:404") <= 10

    def test_none_is_not_cached_without_a_negative_ttl(self, cache: Cache) -> None:
        policy = replace(HOUR, negative_ttl=0)
        cache.get_or_load("user:404", lambda: None, policy)

        assert cache.client.exists("user:404", "lease:{user:404}") == 0
        assert cache.get_or_load("user:404", lambda: 7, policy) == 7

    def test_a_failed_load_raises_and_keeps_the_lease_for_the_retry_delay(
        self, cache: Cache
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            cache.get_or_load("k", lambda: 1 / 0, replace(HOUR, retry=0.2))

        assert cache.client.get("k") is None
        assert 0 < cache.client.execute("PTTL", "lease:{k}") <= 200
        assert cache.get_or_load("k", lambda: 7, HOUR) == 7
        assert cache.client.get("k") == "7"

    def test_after_an_expected_exception_others_load_at_once(self, cache: Cache) -> None:
        def load(*_: object) -> dict[str, int]:
            raise KeyError  # a LookupError

        policy = replace(HOUR, retry=60.0, expected=(LookupError,))
        for read in (
            lambda: cache.get_or_load("k", load, policy),
            lambda: cache.get_many_or_load(["k"], load, policy),
        ):
            with pytest.raises(KeyError):
                read()

            assert cache.client.exists("k", "lease:{k}") == 0

    def test_invalid_json_is_replaced(self, cache: Cache) -> None:
        cache.client.set("k", "by hand")

        assert cache.get_or_load("k", lambda: 7, HOUR) == 7
        cache.invalidate("k")
        assert cache.get_or_load("k", lambda: 8, HOUR) == 8
        assert cache.client.get("k") == "8"


class TestInvalidation:
    @pytest.mark.parametrize(
        "invalidate",
        [lambda cache: cache.invalidate("k"), lambda cache: cache.unfence(cache.fence(["k"]))],
        ids=["by hand", "by a writer"],
    )
    def test_a_slow_reader_does_not_fill_after_an_invalidation(
        self, cache: Cache, invalidate: Callable[[Cache], object]
    ) -> None:
        def load_slowly() -> str:
            invalidate(cache)
            return "old"

        assert cache.get_or_load("k", load_slowly, HOUR) == "old"

        assert cache.client.get("k") is None
        assert cache.get_or_load("k", lambda: "new", HOUR) == "new"

    def test_under_a_fence_every_reader_loads_and_none_fills(self, cache: Cache) -> None:
        cache.put("k", "old", ttl=60)
        fence = cache.fence(["k"])

        assert cache.get_or_load("k", lambda: "before", HOUR) == "before"
        assert cache.get_or_load("k", lambda: "still", HOUR) == "still"
        assert cache.client.get("k") is None

        cache.unfence(fence)
        assert cache.get_or_load("k", lambda: "after", HOUR) == "after"
        assert cache.client.get("k") == '"after"'

    def test_a_writer_removes_only_its_own_fence(self, cache: Cache) -> None:
        one, other = cache.fence(["k"]), cache.fence(["k"])
        assert 29_000 < cache.client.execute("PTTL", "fence:{k}") <= 30_000
        filled = []
        for fence in (one, other):
            cache.unfence(fence)
            cache.get_or_load("k", lambda: 1, HOUR)
            filled.append(cache.client.exists("k"))

        assert filled == [0, 1]

    def test_a_writer_fills_what_no_other_has_invalidated(self, cache: Cache) -> None:
        fills = {key: Fill.of(key.upper(), HOUR) for key in ("a", "b", "c")}
        fence = cache.fence(["a", "b", "d"], fills=True)
        cache.invalidate("b")

        cache.unfence(fence, fills)

        assert cache.client.get("a") == '"A"'
        assert cache.client.ttl("a") > 3000
        assert cache.client.exists("b", "c", "d", *map(keys.lease, "abcd")) == 0
        assert cache.get_or_load("d", lambda: 4, HOUR) == 4
        assert cache.client.get("d") == "4"

    def test_a_writer_without_a_reply_to_its_fence_fills_nothing(self, cache: Cache) -> None:
        fence = replace(cache.fence(["k"], fills=True), placed=False)

        cache.unfence(fence, {"k": Fill.of(1, HOUR)})

        assert cache.client.get("k") is None

    def test_the_fence_of_a_dead_writer_expires(self, client: RedisClient) -> None:
        cache = Cache(client, fence_seconds=0.2)
        cache.fence(["user:1"])
        assert 0 < client.execute("PTTL", "fence:{user:1}") <= 200
        cache.get_or_load("user:1", lambda: 1, HOUR)
        assert client.get("user:1") is None

        time.sleep(0.25)

        cache.get_or_load("user:1", lambda: 2, HOUR)
        assert client.get("user:1") == "2"


class TestMany:
    def test_missing_values_are_loaded_together(self, cache: Cache) -> None:
        cache.put("a", 1, ttl=60)
        asked: list[Sequence[str]] = []

        def load(missing: Sequence[str]) -> dict[str, int]:
            asked.append(missing)
            return {"b": 2, "c": 3}

        found = cache.get_many_or_load(["a", "b", "c", "d"], load, HOUR)

        assert found == {"a": 1, "b": 2, "c": 3, "d": None}
        assert asked == [["b", "c", "d"]]
        assert cache.client.get_many(["b", "c", "d"]) == {"b": "2", "c": "3", "d": "null"}
        assert list(cache.client.scan("lease:*")) == []
        found = cache.get_many_or_load(["a", "d"], lambda _: pytest.fail("loaded"), HOUR)
        assert found == {"a": 1, "d": None}

    def test_a_value_invalidated_during_the_load_is_not_filled(self, cache: Cache) -> None:
        def load(_: object) -> dict[str, str]:
            cache.invalidate("b")
            return {"a": "old", "b": "old"}

        cache.get_many_or_load(["a", "b"], load, HOUR)

        assert cache.client.get("a") == '"old"'
        assert cache.client.get("b") is None

    def test_it_works_after_a_script_flush(self, cache: Cache) -> None:
        cache.client.execute("SCRIPT FLUSH")

        assert cache.get_many_or_load(["a", "b"], lambda _: {"a": 1}, HOUR) == {"a": 1, "b": None}
        assert cache.client.get_many(["a", "b"]) == {"a": "1", "b": "null"}


class TestManyReaders:
    @pytest.fixture
    def cache(self, redis_client: RedisClient) -> Cache:
        return Cache(redis_client)

    def test_threads_of_one_process_load_once(self, cache: Cache) -> None:
        loads: list[int] = []

        def load() -> str:
            loads.append(1)
            time.sleep(0.2)
            return "value"

        with ThreadPoolExecutor(50) as pool:
            got = list(pool.map(lambda _: cache.get_or_load("k", load, HOUR), range(50)))

        assert got == ["value"] * 50
        assert len(loads) == 1

    def test_50_threads_of_4_processes_load_once(
        self, redis_server: RedisServer, redis_client: RedisClient
    ) -> None:
        running = [start("cache_load", redis_server.port, 50) for _ in range(4)]
        wait_until(lambda: redis_client.get("ready") == "4", seconds=30)
        redis_client.set("go", 1)

        for process in running:
            process.communicate(timeout=60)
        assert [process.returncode for process in running] == [0] * 4
        assert redis_client.get("loads") == "1"

    def test_a_dead_loader_delays_others_until_its_lease_expires(self, cache: Cache) -> None:
        cache.client.execute("SET", "lease:{k}", "of a dead process", "PX", 300)
        began = time.monotonic()

        assert cache.get_or_load("k", lambda: 7, HOUR) == 7

        assert 0.2 < time.monotonic() - began < 2
        assert cache.client.get("k") == "7"

    def test_after_the_wait_a_reader_loads_without_filling(self, cache: Cache) -> None:
        cache.client.execute("SET", "lease:{k}", "of a slow process", "PX", 60_000)

        assert cache.get_or_load("k", lambda: 7, replace(HOUR, wait=0.1)) == 7

        assert cache.client.get("k") is None

    def test_a_reader_after_an_invalidation_does_not_join_an_earlier_load(
        self, cache: Cache
    ) -> None:
        row = ["old"]
        loading, go_on = threading.Event(), threading.Event()

        def load_slowly() -> str:
            value = row[0]
            loading.set()
            go_on.wait(5)
            return value

        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(cache.get_or_load, "k", load_slowly, HOUR)
            loading.wait(5)
            fence = cache.fence(["k"])
            row[0] = "new"
            cache.unfence(fence)
            late = pool.submit(cache.get_or_load, "k", lambda: row[0], HOUR)
            time.sleep(0.1)
            go_on.set()

            assert slow.result(5) == "old"
            assert late.result(5) == "new"
        assert cache.get_or_load("k", lambda: row[0], HOUR) == "new"

    def test_a_reader_after_the_fill_does_not_join_its_load(self, cache: Cache) -> None:
        loaders: list[int] = []
        filled, go_on = threading.Event(), threading.Event()

        class PauseAfterFill(Observer):
            """Holds the loader after its fill, before `get_or_load` returns."""

            def round_trip(self, *_: object) -> None:
                if loaders == [threading.get_ident()] and not filled.is_set():
                    filled.set()
                    go_on.wait(5)

        def load_old() -> str:
            loaders.append(threading.get_ident())
            return "old"

        cache.client.observe(PauseAfterFill())
        with ThreadPoolExecutor(2) as pool:
            early = pool.submit(cache.get_or_load, "k", load_old, HOUR)
            filled.wait(5)
            assert cache.client.get("k") == '"old"'
            cache.unfence(cache.fence(["k"]))  # a writer that is answered now
            late = pool.submit(cache.get_or_load, "k", lambda: "new", HOUR)
            time.sleep(0.1)
            go_on.set()

            assert early.result(5) == "old"
            assert late.result(5) == "new"


class TestOutage:
    def test_every_reader_loads_and_unfence_raises(
        self, own_redis: RedisServer, own_client: RedisClient
    ) -> None:
        cache = Cache(own_client)
        cache.put("k", 1, ttl=60)
        own_redis.kill()

        assert cache.get_or_load("k", lambda: 2, HOUR) == 2
        assert cache.get_many_or_load(["k"], lambda _: {"k": 3}, HOUR) == {"k": 3}
        fence = cache.fence(["k"])
        with pytest.raises(RedisUnavailable):
            cache.unfence(fence)

    def test_full_memory_still_removes(self, own_client: RedisClient) -> None:
        cache = Cache(own_client)
        cache.put("k", 1, ttl=60)
        own_client.execute("CONFIG SET", "maxmemory", "1")

        fence = cache.fence(["k"])
        assert own_client.get("k") is None
        cache.unfence(fence)
        assert cache.get_or_load("k", lambda: 2, HOUR) == 2


def test_a_full_memory_delays_no_reader(own_redis: RedisServer, connect: Connect) -> None:
    """No fill is possible, so no reader may wait for one."""
    client = connect(own_redis)
    cache = Cache(client)
    client.execute("ZADD", "fence:{item:1}", 1, "of a writer that died")  # first removes it
    client.execute("PEXPIRE", "fence:{item:1}", 60_000)
    client.execute("CONFIG", "SET", "maxmemory", "1")
    started = time.monotonic()

    values = [cache.get_or_load("item:1", lambda: 5, Policy(ttl=60, wait=5)) for _ in range(10)]

    assert values == [5] * 10
    assert time.monotonic() - started < 5
    assert client.exists("lease:{item:1}") == 0
