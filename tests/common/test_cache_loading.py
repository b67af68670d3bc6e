"""Values that are loaded once and never put back after an invalidation."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, RedisUnavailable
from common.pyportal_common.redis_server import RedisServer

HOUR = Policy(ttl=3600)
LOADER = Path(__file__).with_name("cold_key.py")


@pytest.fixture
def cache(client: RedisClient) -> Cache:
    return Cache(client)


def never() -> object:
    raise AssertionError("nothing should be loaded")


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class TestOneReader:
    def test_a_miss_loads_and_fills_and_a_hit_does_not(
        self, cache: Cache, client: RedisClient
    ) -> None:
        assert cache.get_or_load("user:1", lambda: {"id": 1, "tags": []}, HOUR) == {
            "id": 1,
            "tags": [],
        }

        assert cache.get_or_load("user:1", never, HOUR) == {"id": 1, "tags": []}
        assert client.get("user:1") == '{"id":1,"tags":[]}'
        assert list(client.scan("lease:*")) == []

    def test_chance_takes_a_little_off_the_time_to_live(
        self, cache: Cache, client: RedisClient
    ) -> None:
        for n in range(30):
            cache.get_or_load(f"k{n}", lambda: 1, replace(HOUR, jitter=0.1))

        lives = [client.ttl(f"k{n}") for n in range(30)]
        assert all(3239 <= seconds <= 3600 for seconds in lives)
        assert len(set(lives)) > 3

    def test_that_there_is_none_is_remembered_for_its_own_time(
        self, cache: Cache, client: RedisClient
    ) -> None:
        policy = replace(HOUR, negative_ttl=10)

        assert cache.get_or_load("user:404", lambda: None, policy) is None

        assert cache.get_or_load("user:404", never, policy) is None
        assert client.ttl("user:404") <= 10

    def test_or_not_at_all(self, cache: Cache, client: RedisClient) -> None:
        policy = replace(HOUR, negative_ttl=0)
        cache.get_or_load("user:404", lambda: None, policy)

        assert client.exists("user:404", "lease:{user:404}") == 0
        assert cache.get_or_load("user:404", lambda: 7, policy) == 7

    def test_a_load_that_fails_raises_and_leaves_the_lease_for_a_moment(
        self, cache: Cache, client: RedisClient
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            cache.get_or_load("k", lambda: 1 / 0, replace(HOUR, retry=0.2))

        assert client.get("k") is None
        assert 0 < client.execute("PTTL", "lease:{k}") <= 200
        assert cache.get_or_load("k", lambda: 7, HOUR) == 7
        assert client.get("k") == "7"

    def test_what_is_no_json_is_loaded_and_mended_after_invalidation(
        self, cache: Cache, client: RedisClient
    ) -> None:
        client.set("k", "by hand")

        assert cache.get_or_load("k", lambda: 7, HOUR) == 7
        cache.invalidate("k")
        assert cache.get_or_load("k", lambda: 8, HOUR) == 8
        assert client.get("k") == "8"


class TestInvalidation:
    def test_a_slow_reader_puts_nothing_back(self, cache: Cache, client: RedisClient) -> None:
        def load_slowly() -> str:
            cache.invalidate("k")  # somebody else's, while we load
            return "old"

        assert cache.get_or_load("k", load_slowly, HOUR) == "old"

        assert client.get("k") is None
        assert cache.get_or_load("k", lambda: "new", HOUR) == "new"

    def test_nor_under_a_fence(self, cache: Cache, client: RedisClient) -> None:
        def load_slowly() -> str:
            fence = cache.fence(["k"])
            cache.unfence(fence)
            return "old"

        assert cache.get_or_load("k", load_slowly, HOUR) == "old"

        assert client.get("k") is None

    def test_while_a_fence_stands_everybody_loads_and_nobody_fills(
        self, cache: Cache, client: RedisClient
    ) -> None:
        cache.put("k", "old", ttl=60)
        fence = cache.fence(["k"])

        assert cache.get_or_load("k", lambda: "before", HOUR) == "before"
        assert cache.get_or_load("k", lambda: "still", HOUR) == "still"
        assert client.get("k") is None

        cache.unfence(fence)
        assert cache.get_or_load("k", lambda: "after", HOUR) == "after"
        assert client.get("k") == '"after"'

    def test_of_two_writers_each_lifts_its_own_fence(
        self, cache: Cache, client: RedisClient
    ) -> None:
        one, other = cache.fence(["k"]), cache.fence(["k"])
        cache.unfence(one)

        cache.get_or_load("k", lambda: 1, HOUR)
        assert client.get("k") is None

        cache.unfence(other)
        cache.get_or_load("k", lambda: 2, HOUR)
        assert client.get("k") == "2"

    def test_the_fence_of_a_dead_writer_ends(self, client: RedisClient) -> None:
        cache = Cache(client, fence_seconds=0.2)
        cache.fence(["k"])
        cache.get_or_load("k", lambda: 1, HOUR)
        assert client.get("k") is None

        time.sleep(0.25)

        cache.get_or_load("k", lambda: 2, HOUR)
        assert client.get("k") == "2"

    def test_a_key_with_braces_has_lease_and_fence_of_its_own(
        self, cache: Cache, client: RedisClient
    ) -> None:
        cache.fence(["user:1"])

        assert client.execute("EXISTS", "fence:{user:1}") == 1
        assert 29_000 < client.execute("PTTL", "fence:{user:1}") <= 30_000


class TestMany:
    def test_what_is_missing_is_loaded_at_once(self, cache: Cache, client: RedisClient) -> None:
        cache.put("a", 1, ttl=60)
        asked: list[list[str]] = []

        def load(missing: list[str]) -> dict[str, int]:
            asked.append(list(missing))
            return {"b": 2, "c": 3}

        assert cache.get_many_or_load(["a", "b", "c", "d"], load, HOUR) == {  # type: ignore[arg-type]
            "a": 1,
            "b": 2,
            "c": 3,
            "d": None,
        }
        assert asked == [["b", "c", "d"]]
        assert client.get_many(["b", "c", "d"]) == {"b": "2", "c": "3", "d": "null"}
        assert list(client.scan("lease:*")) == []
        assert cache.get_many_or_load(["a", "d"], lambda _: pytest.fail("loaded"), HOUR) == {
            "a": 1,
            "d": None,
        }

    def test_it_puts_nothing_back_either(self, cache: Cache, client: RedisClient) -> None:
        def load(_: object) -> dict[str, str]:
            cache.invalidate("b")
            return {"a": "old", "b": "old"}

        cache.get_many_or_load(["a", "b"], load, HOUR)

        assert client.get("a") == '"old"'
        assert client.get("b") is None

    def test_after_the_server_forgot_the_scripts(self, cache: Cache, client: RedisClient) -> None:
        client.execute("SCRIPT FLUSH")

        assert cache.get_many_or_load(["a"], lambda _: {"a": 1}, HOUR) == {"a": 1}
        assert client.get("a") == "1"


class TestManyReaders:
    def test_threads_of_one_process_load_once(self, redis_client: RedisClient) -> None:
        cache = Cache(redis_client)
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
        running = [
            subprocess.Popen([sys.executable, str(LOADER), str(redis_server.port), "50"])
            for _ in range(4)
        ]
        wait_until(lambda: redis_client.get("ready") == "4", seconds=30)
        redis_client.set("go", 1)

        assert [process.wait(60) for process in running] == [0] * 4
        assert redis_client.get("loads") == "1"

    def test_a_loader_that_dies_holds_others_up_for_its_lease_at_most(
        self, redis_client: RedisClient
    ) -> None:
        redis_client.execute("SET", "lease:{k}", "of a dead process", "PX", 300)
        cache = Cache(redis_client)
        began = time.monotonic()

        assert cache.get_or_load("k", lambda: 7, HOUR) == 7

        assert 0.2 < time.monotonic() - began < 2
        assert redis_client.get("k") == "7"

    def test_who_waited_in_vain_loads_and_fills_nothing(self, redis_client: RedisClient) -> None:
        redis_client.execute("SET", "lease:{k}", "of a slow process", "PX", 60_000)
        cache = Cache(redis_client)

        assert cache.get_or_load("k", lambda: 7, replace(HOUR, wait=0.1)) == 7

        assert redis_client.get("k") is None

    def test_who_asks_after_an_invalidation_does_not_join_a_load_from_before(
        self, redis_client: RedisClient
    ) -> None:
        cache = Cache(redis_client)
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

    def test_who_asks_after_the_fill_does_not_join_its_load(
        self, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Cache(redis_client)
        publish = cache._publish
        filled, go_on = threading.Event(), threading.Event()

        def publish_and_wait(*arguments: Any) -> bool:
            accepted = publish(*arguments)
            if not filled.is_set():
                filled.set()
                go_on.wait(5)
            return accepted

        monkeypatch.setattr(cache, "_publish", publish_and_wait)
        with ThreadPoolExecutor(2) as pool:
            early = pool.submit(cache.get_or_load, "k", lambda: "old", HOUR)
            filled.wait(5)
            cache.unfence(cache.fence(["k"]))  # a writer, who is answered now
            late = pool.submit(cache.get_or_load, "k", lambda: "new", HOUR)
            time.sleep(0.1)
            go_on.set()

            assert early.result(5) == "old"
            assert late.result(5) == "new"


class TestOutage:
    def test_everybody_loads(
        self, own_redis: RedisServer, connect: Callable[..., RedisClient]
    ) -> None:
        cache = Cache(connect(own_redis))
        cache.put("k", 1, ttl=60)
        own_redis.kill()

        assert cache.get_or_load("k", lambda: 2, HOUR) == 2
        assert cache.get_many_or_load(["k"], lambda _: {"k": 3}, HOUR) == {"k": 3}
        fence = cache.fence(["k"])
        with pytest.raises(RedisUnavailable):
            cache.unfence(fence)

    def test_a_full_memory_still_removes(
        self, own_redis: RedisServer, connect: Callable[..., RedisClient]
    ) -> None:
        client = connect(own_redis)
        cache = Cache(client)
        cache.put("k", 1, ttl=60)
        client.execute("CONFIG SET", "maxmemory", "1")

        fence = cache.fence(["k"])
        assert client.get("k") is None
        cache.unfence(fence)
        assert cache.get_or_load("k", lambda: 2, HOUR) == 2
