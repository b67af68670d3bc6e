"""Tags: many values are invalidated by one short command, and no fill brings an old one back."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import (
    Cache,
    Observer,
    Policy,
    RedisClient,
    RedisUnavailable,
    keys,
)
from common.pyportal_common.redis_server import RedisServer

from .load import start
from .waiting import wait_until

HOUR = Policy(ttl=3600, jitter=0)
TAG = keys.tag("user:7")
OTHER = keys.tag("orders")


@pytest.fixture
def cache(client: RedisClient) -> Cache:
    return Cache(client)


def never() -> object:
    raise AssertionError("nothing should be loaded")


def read(cache: Cache, load: Callable[[], Any], *tags: str, policy: Policy = HOUR) -> Any:
    return cache.get_or_load("k", load, policy, tags=tags or ["user:7"])


def commands_sent(client: RedisClient) -> Counter[str]:
    stats = client.execute("INFO", "commandstats")
    return Counter({name.removeprefix("cmdstat_"): stats[name]["calls"] for name in stats})


class Trips(Observer):
    """Counts round trips."""

    count = 0

    def round_trip(self, *_: object) -> None:
        self.count += 1


class TestOneReader:
    def test_a_hit_loads_nothing_until_a_tag_is_invalidated(self, cache: Cache) -> None:
        assert read(cache, lambda: {"id": 1}, "user:7", "orders") == {"id": 1}
        assert read(cache, never, "user:7", "orders") == {"id": 1}

        for number, tag in enumerate(("user:7", "orders")):
            cache.invalidate_tag(tag)

            assert read(cache, partial(int, number), "user:7", "orders") == number
            assert read(cache, never, "user:7", "orders") == number

    def test_other_tags_do_not_matter(self, cache: Cache) -> None:
        read(cache, lambda: 1, "user:7")
        cache.invalidate_tag("user:8", "user", "7")
        cache.invalidate_tag()

        assert read(cache, never, "user:7") == 1

    def test_the_key_itself_is_invalidated_as_ever(self, cache: Cache) -> None:
        read(cache, lambda: 1)

        assert cache.invalidate("k") == 1
        assert read(cache, lambda: 2) == 2

    def test_none_is_a_value(self, cache: Cache) -> None:
        assert read(cache, lambda: None) is None
        assert read(cache, never) is None

    def test_a_tag_outlives_the_values(self, cache: Cache) -> None:
        read(cache, lambda: 1, policy=Policy(ttl=5, stale_for=2, negative_ttl=1, lease=3))
        assert 9_900 < cache.client.execute("PTTL", TAG) <= 10_000

        cache.get_or_load("long", lambda: 1, Policy(ttl=60, lease=3), tags=["user:7"])
        cache.get_or_load("short", lambda: 1, Policy(ttl=6, lease=3), tags=["user:7"])
        assert 62_900 < cache.client.execute("PTTL", TAG) <= 63_000
        assert all(cache.client.ttl(key) > 0 for key in cache.client.scan())

    def test_other_tags_than_before_are_a_miss(self, cache: Cache) -> None:
        read(cache, lambda: 1, "user:7", "orders")

        for number, tags in enumerate((["user:7"], ["orders", "user:7"], ["orders"], ["new"]), 2):
            assert read(cache, partial(int, number), *tags) == number
            assert read(cache, never, *tags) == number

    def test_readers_with_tags_and_without_do_not_share_values(self, cache: Cache) -> None:
        read(cache, lambda: "tagged")
        assert cache.get_or_load("k", lambda: "plain", HOUR) == "plain"
        assert cache.client.get("k") == '"plain"'
        assert read(cache, lambda: "again") == "again"
        assert cache.get("k") is None

    @pytest.mark.parametrize("tag", ["", "a b", "{x}", "user:é", "x" * 300, 7])
    def test_any_text_is_a_tag_but_none(self, cache: Cache, tag: str) -> None:
        if tag == "":
            with pytest.raises(ValueError, match="empty"):
                read(cache, never, tag)
            return
        read(cache, lambda: 1, tag)
        cache.invalidate_tag(tag)

        assert read(cache, lambda: 2, tag) == 2

    def test_one_text_in_place_of_several_is_refused(self, cache: Cache) -> None:
        with pytest.raises(TypeError, match="several"):
            cache.get_or_load("k", never, HOUR, tags="user:7")

    def test_a_decorated_function_has_tags_of_its_arguments(self, cache: Cache) -> None:
        loads: list[int] = []

        @cache.cached(lambda n: f"number:{n}", HOUR, tags=lambda n: ["odd" if n % 2 else "even"])
        def load(n: int) -> int:
            loads.append(n)
            return n

        for _ in range(2):
            assert [load(n) for n in range(4)] == [0, 1, 2, 3]
            cache.invalidate_tag("odd")
        assert loads == [0, 1, 2, 3, 1, 3]


class TestInvalidation:
    @pytest.mark.parametrize(
        "invalidate",
        [
            lambda cache: cache.invalidate_tag("user:7"),
            lambda cache: cache.unfence(cache.fence([TAG])),
            lambda cache: cache.client.execute("FLUSHALL"),
            lambda cache: cache.client.delete(TAG),  # evicted
            lambda cache: cache.client.set(TAG, ""),
        ],
        ids=["by hand", "by a writer", "FLUSHALL", "eviction", "an odd value"],
    )
    def test_a_load_that_began_before_is_not_stored(
        self, cache: Cache, invalidate: Callable[[Cache], object]
    ) -> None:
        def load_slowly() -> str:
            invalidate(cache)
            return "old"

        assert read(cache, load_slowly) == "old"

        assert read(cache, lambda: "new") == "new"
        assert read(cache, never) == "new"

    def test_a_tag_without_text_that_vanishes_meanwhile_accepts_no_fill(self, cache: Cache) -> None:
        cache.client.set(TAG, "", ttl=9999)

        def load_slowly() -> str:
            cache.invalidate_tag("user:7")
            return "old"

        read(cache, load_slowly)

        assert cache.client.get("k") is None

    def test_a_reader_after_it_does_not_wait_for_an_earlier_load(self, cache: Cache) -> None:
        def load_slowly() -> str:
            cache.invalidate_tag("user:7")
            other = Cache(cache.client)  # another process
            assert read(other, lambda: "new", policy=replace(HOUR, wait=30)) == "new"
            return "old"

        assert read(cache, load_slowly) == "old"

        assert read(cache, never) == "new"

    def test_a_failed_load_of_before_delays_nobody(self, cache: Cache) -> None:
        with pytest.raises(ZeroDivisionError):
            read(cache, lambda: 1 / 0, policy=replace(HOUR, retry=60))
        assert 59_000 < cache.client.execute("PTTL", keys.lease("k")) <= 60_000
        cache.invalidate_tag("user:7")

        assert read(cache, lambda: 1, policy=replace(HOUR, wait=30)) == 1
        assert read(cache, never) == 1

    def test_a_stale_value_is_not_served_after_it(self, cache: Cache) -> None:
        policy = replace(HOUR, stale_for=300, beta=0)
        read(cache, lambda: "old", policy=policy)
        cache.client.expire("k", 200)  # less than stale_for is left
        cache.invalidate_tag("user:7")

        assert read(cache, lambda: "new", policy=policy) == "new"

    def test_a_refresh_of_before_it_is_not_stored(self, cache: Cache) -> None:
        policy = replace(HOUR, stale_for=300, beta=0, soft_timeout=10)
        read(cache, lambda: "old", policy=policy)
        cache.client.expire("k", 200)

        def refresh() -> str:
            cache.invalidate_tag("user:7")
            return "old too"

        assert read(cache, refresh, policy=policy) == "old"
        assert read(cache, lambda: "new", policy=policy) == "new"

    def test_a_stale_value_is_refreshed(self, cache: Cache) -> None:
        policy = replace(HOUR, stale_for=300, beta=0, soft_timeout=10)
        read(cache, lambda: "old", policy=policy)
        cache.client.expire("k", 200)

        assert read(cache, lambda: "new", policy=policy) == "new"
        assert read(cache, never, policy=policy) == "new"
        assert cache.client.ttl("k") > 3600

    def test_under_a_fence_every_reader_loads_and_none_fills(self, cache: Cache) -> None:
        read(cache, lambda: "old", "user:7", "orders")
        fence = cache.fence([OTHER])

        assert read(cache, lambda: "before", "user:7", "orders") == "before"
        assert read(cache, lambda: "still", "user:7", "orders") == "still"

        cache.unfence(fence)
        assert read(cache, lambda: "after", "user:7", "orders") == "after"
        assert read(cache, never, "user:7", "orders") == "after"


class TestMany:
    def test_values_are_read_and_invalidated_together(self, cache: Cache) -> None:
        def get(load: Callable[[Any], dict[str, int]]) -> dict[str, Any]:
            return cache.get_many_or_load(["a", "b"], load, HOUR, tags=["user:7", "orders"])

        assert get(lambda _: {"a": 1}) == {"a": 1, "b": None}
        assert get(lambda _: pytest.fail("loaded")) == {"a": 1, "b": None}
        assert cache.get_or_load("a", never, HOUR, tags=["user:7", "orders"]) == 1

        cache.invalidate_tag("orders")
        assert get(lambda missing: dict.fromkeys(missing, 2)) == {"a": 2, "b": 2}

    def test_a_load_that_began_before_an_invalidation_is_not_stored(self, cache: Cache) -> None:
        def load(_: object) -> dict[str, int]:
            cache.invalidate_tag("user:7")
            return {"a": 1, "b": 1}

        cache.get_many_or_load(["a", "b"], load, HOUR, tags=["user:7"])

        assert cache.client.get_many(["a", "b"]) == {}


class TestCosts:
    @pytest.fixture
    def cache(self, redis_client: RedisClient) -> Cache:
        return Cache(redis_client)

    @pytest.fixture
    def trips(self, cache: Cache) -> Trips:
        trips = Trips()
        cache.client.observe(trips)
        cache.get_or_load("any", lambda: 1, HOUR)  # the server knows the scripts then
        trips.count = 0
        return trips

    def test_a_hit_is_three_commands_in_one_trip(self, cache: Cache, trips: Trips) -> None:
        read(cache, lambda: 1, "user:7", "orders")
        assert trips.count == 3  # as without tags: read, lease, fill
        before = commands_sent(cache.client)
        trips.count = 0

        read(cache, never, "user:7", "orders")

        assert trips.count == 1
        sent = commands_sent(cache.client) - before
        assert sent == {"get": 1, "pttl": 1, "mget": 1, "info": 1}

    def test_without_tags_it_is_what_it_was(self, cache: Cache) -> None:
        cache.get_or_load("plain", lambda: 1, HOUR)
        assert cache.client.get("plain") == "1"
        before = commands_sent(cache.client)

        cache.get_or_load("plain", never, HOUR)

        assert commands_sent(cache.client) - before == {"get": 1, "pttl": 1, "info": 1}

    def test_ten_thousand_values_are_invalidated_by_two_commands(
        self, cache: Cache, trips: Trips
    ) -> None:
        names = [f"n:{number}" for number in range(10_000)]
        for part in range(0, 10_000, 1000):
            some = names[part : part + 1000]
            cache.get_many_or_load(some, lambda _: {}, HOUR, tags=["all"])
        assert cache.client.execute("DBSIZE") == 10_002
        before = commands_sent(cache.client)
        trips.count = 0

        cache.invalidate_tag("all")

        assert commands_sent(cache.client) - before == {"unlink": 2, "info": 1}
        assert trips.count == 2  # with that of this test
        asked: list[str] = []

        def load(missing: Sequence[str]) -> dict[str, int]:
            asked.extend(missing)
            return {}

        cache.get_many_or_load(names[::100], load, HOUR, tags=["all"])
        assert asked == names[::100]


class TestOddValues:
    @pytest.mark.parametrize(
        "command",
        [
            ("SET", TAG, "by hand"),
            ("SET", TAG, "", "PX", 9_999_999),
            ("SET", TAG, b"\xff;\x00;", "PX", 9_999_999),
            ("SET", TAG, "1;2;", "PX", 1000),
            ("SET", TAG, "None", "PX", 9_999_999),
            ("HSET", TAG, "field", "value"),
            ("ZADD", TAG, 1, "member"),
            ("DEL", TAG),
            ("PERSIST", TAG),
        ],
    )
    def test_odd_generations_are_a_miss_and_give_way(
        self, cache: Cache, command: tuple[Any, ...]
    ) -> None:
        read(cache, lambda: "old", "user:7", "orders")
        if command[0] in {"HSET", "ZADD"}:
            cache.client.delete(TAG)
        cache.client.execute(*command)
        is_current = command[0] == "PERSIST"

        read(cache, lambda: "new", "user:7", "orders")
        assert read(cache, never, "user:7", "orders") == ("old" if is_current else "new")
        cache.invalidate_tag("user:7")

        assert read(cache, lambda: "newest", "user:7", "orders") == "newest"
        assert read(cache, never, "user:7", "orders") == "newest"
        assert cache.client.ttl(TAG) > 0

    @pytest.mark.parametrize("text", [";1", "1", "", '{"a":1}', b"\xff", "[" * 100_000])
    def test_a_value_that_begins_otherwise_is_a_miss(self, cache: Cache, text: str) -> None:
        read(cache, lambda: "old")
        cache.client.set("k", text, ttl=60)

        assert read(cache, lambda: "new") == "new"
        assert read(cache, never) == "new"

    def test_text_after_the_generations_that_is_not_json_is_replaced(self, cache: Cache) -> None:
        read(cache, lambda: "old")
        cache.client.set("k", f"{cache.client.get(TAG)};not json", ttl=60)

        assert read(cache, lambda: "new") == "new"
        assert read(cache, never) == "new"

    @pytest.mark.parametrize("key", [keys.fence(TAG), keys.lease(TAG)])
    def test_an_odd_fence_of_a_tag_gives_way(self, cache: Cache, key: str) -> None:
        cache.client.set(key, "by hand")

        read(cache, lambda: 1)

        assert read(cache, never) == 1


class TestLosses:
    def test_an_evicted_tag_is_a_miss(self, own_client: RedisClient) -> None:
        cache = Cache(own_client)
        read(cache, lambda: "old")
        own_client.execute("CONFIG SET", "maxmemory-policy", "allkeys-random")
        own_client.execute("CONFIG SET", "maxmemory", "1")
        wait_until(lambda: own_client.exists(TAG) == 0)
        own_client.execute("CONFIG SET", "maxmemory", "0")

        assert read(cache, lambda: "new") == "new"
        assert read(cache, never) == "new"

    def test_a_full_memory_delays_no_reader(self, own_client: RedisClient) -> None:
        cache = Cache(own_client)
        read(cache, lambda: 1)  # the tag exists, so the first write of the script is not refused
        cache.invalidate("k")
        own_client.execute("CONFIG SET", "maxmemory", "1")
        began = time.monotonic()

        values = [read(cache, lambda: 5, policy=replace(HOUR, wait=5)) for _ in range(10)]
        cache.invalidate_tag("user:7")  # is not refused

        assert values == [5] * 10
        assert own_client.exists(TAG) == 0
        assert time.monotonic() - began < 5

    def test_in_an_outage_readers_load_and_an_invalidation_raises(
        self, own_redis: RedisServer, own_client: RedisClient
    ) -> None:
        cache = Cache(own_client)
        read(cache, lambda: 1)
        own_redis.kill()

        assert read(cache, lambda: 2) == 2
        found = cache.get_many_or_load(["k"], lambda _: {"k": 3}, HOUR, tags=["user:7"])
        assert found == {"k": 3}
        with pytest.raises(RedisUnavailable):
            cache.invalidate_tag("user:7")

    def test_a_tag_without_trust_is_not_read(self, cache: Cache) -> None:
        client = cache.client
        read(cache, lambda: "old")
        client.require_trust(lambda key: key != TAG)
        try:
            assert read(cache, lambda: "new") == "new"
            got = cache.get_many_or_load(["k"], lambda _: {"k": 1}, HOUR, tags=["user:7"])
            assert got == {"k": 1}
        finally:
            client._trusts.clear()


class TestRaces:
    def test_threads_of_one_process_load_once(self, redis_client: RedisClient) -> None:
        cache = Cache(redis_client)
        loads: list[int] = []

        def load() -> str:
            loads.append(1)
            time.sleep(0.2)
            return "value"

        with ThreadPoolExecutor(20) as pool:
            got = list(pool.map(lambda _: read(cache, load), range(20)))

        assert got == ["value"] * 20
        assert len(loads) == 1

    def test_a_reader_after_an_invalidation_does_not_join_an_earlier_load(
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
            slow = pool.submit(read, cache, load_slowly)
            loading.wait(5)
            row[0] = "new"
            cache.invalidate_tag("user:7")
            late = pool.submit(read, cache, lambda: row[0])
            time.sleep(0.1)
            go_on.set()

            assert slow.result(5) == "old"
            assert late.result(5) == "new"
        assert read(cache, never) == "new"

    def test_no_process_reads_an_older_value_after_the_answer(
        self, redis_server: RedisServer, redis_client: RedisClient
    ) -> None:
        """Each process writes a row, invalidates its tag, and reads, in several threads."""
        running = [start("tag_load", redis_server.port, 4, 400) for _ in range(3)]
        wait_until(lambda: redis_client.get("ready") == "3", seconds=30)
        redis_client.set("go", 1)

        output = [process.communicate(timeout=60)[0] for process in running]

        assert [process.returncode for process in running] == [0] * 3, output
        assert int(redis_client.get("hits") or 0) > 100
