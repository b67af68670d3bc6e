"""What callers see while a real Redis server is killed, paused and brought back."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import redis
from common.pyportal_common.cache_handlers import Cache, RedisClient, RedisUnavailable
from common.pyportal_common.redis_server import RedisServer, free_port

Connect = Callable[..., RedisClient]


def seconds_of(call: Callable[[], object]) -> float:
    start = time.monotonic()
    with pytest.raises(RedisUnavailable):
        call()
    return time.monotonic() - start


def suppressed(call: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):
        call()


def pipelined_get(client: RedisClient) -> list[object]:
    with client.pipeline() as pipeline:
        pipeline.get("k")
        return pipeline.execute()


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class TestRefused:
    def test_every_method_but_ping_raises(self, own_redis: RedisServer, connect: Connect) -> None:
        client = connect(own_redis)
        own_redis.kill()

        calls: list[Callable[[], object]] = [
            lambda: client.get("k"),
            lambda: client.set("k", "v"),
            lambda: client.get_many(["k"]),
            lambda: client.set_many({"k": "v"}),
            lambda: client.get_json("k"),
            lambda: client.set_json("k", {}),
            lambda: client.delete("k"),
            lambda: client.exists("k"),
            lambda: client.expire("k", 1),
            lambda: client.ttl("k"),
            lambda: list(client.scan()),
            lambda: client.hset("k", "f", "v"),
            lambda: client.hget("k", "f"),
            lambda: client.hgetall("k"),
            lambda: client.hdel("k", "f"),
            lambda: pipelined_get(client),
        ]
        for call in calls:
            with pytest.raises(RedisUnavailable):
                call()
        assert client.ping() is False

    def test_the_first_call_and_the_next_come_back_fast(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis)
        client.set("k", "v")
        own_redis.kill()

        assert seconds_of(lambda: client.get("k")) < 0.3
        assert sorted(seconds_of(lambda: client.get("k")) for _ in range(101))[50] < 0.005

    def test_a_server_that_was_never_there(self, connect: Connect, tmp_path: Path) -> None:
        nothing = RedisServer(tmp_path, tmp_path, port=free_port())

        assert seconds_of(lambda: connect(nothing).get("k")) < 0.3


class TestHung:
    def test_the_first_timeout_opens_the_breaker(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis)
        client.set("k", "v")
        own_redis.pause()

        assert 0.4 < seconds_of(lambda: client.get("k")) < 0.9
        assert client.breaker.is_open
        assert sorted(seconds_of(lambda: client.get("k")) for _ in range(101))[50] < 0.005

    def test_a_new_connection_is_bounded_too(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        own_redis.pause()

        assert seconds_of(lambda: connect(own_redis, db=2).get("k")) < 0.9

    def test_threads_wait_side_by_side_not_in_a_row(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis)
        client.set("k", "v")
        own_redis.pause()
        took: list[float] = []

        threads = [
            threading.Thread(target=lambda: took.append(seconds_of(lambda: client.get("k"))))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(took) == 16
        assert max(took) < 1.2

    def test_a_watch_gives_its_connection_back(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, max_connections=2)
        for _ in range(3):
            with pytest.raises(RedisUnavailable), client.pipeline() as pipeline:  # noqa: PT012
                pipeline.watch("k")
                own_redis.pause()
                pipeline.get("k")
            own_redis.resume()
            wait_until(lambda: not client.breaker.is_open, seconds=4)

        with client.pipeline() as pipeline:
            pipeline.watch("k")
            assert client.get("k") is None

    def test_a_busy_script_is_an_outage_until_it_ends(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, read_timeout=10)
        other = connect(own_redis, read_timeout=10)
        client.execute("CONFIG SET", "lua-time-limit", "50")
        loop = "local n = 0 while true do n = n + 1 end"
        script = threading.Thread(target=lambda: suppressed(lambda: other.execute("EVAL", loop, 0)))
        script.start()
        time.sleep(0.3)

        with pytest.raises(RedisUnavailable, match="BUSY"):
            client.get("k")

        assert client.breaker.is_open
        redis.Redis(port=own_redis.port).script_kill()
        script.join()
        wait_until(lambda: not client.breaker.is_open, seconds=4)


class TestReturn:
    @pytest.mark.parametrize("outage", ["killed", "hung"])
    def test_the_probe_finds_it_back_without_a_request(
        self, own_redis: RedisServer, connect: Connect, outage: str
    ) -> None:
        client = connect(own_redis)
        client.set("k", "v")
        if outage == "killed":
            own_redis.kill()
        else:
            own_redis.pause()
        seconds_of(lambda: client.get("k"))
        time.sleep(0.7)  # let the probe fail at least once
        if outage == "killed":
            own_redis.start()
        else:
            own_redis.resume()

        wait_until(lambda: not client.breaker.is_open, seconds=2)

        assert client.get("k") == "v"

    def test_a_probe_that_breaks_goes_on_probing(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis)
        answers: list[bool] = []

        def broken_at_first() -> bool:
            answers.append(True)
            if len(answers) < 3:
                raise TypeError("made for this test")
            return True

        client.breaker._probe = broken_at_first
        client.breaker.trip(ConnectionError("pretended"))

        wait_until(lambda: not client.breaker.is_open, seconds=3)

    def test_a_server_that_pings_and_fails_at_work_is_left_alone_for_a_moment(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis)
        client.breaker.trip(ConnectionError("pretended"))
        wait_until(lambda: not client.breaker.is_open, seconds=1)

        client.breaker.trip(ConnectionError("again"))

        time.sleep(0.5)
        assert client.breaker.is_open
        wait_until(lambda: not client.breaker.is_open, seconds=3)

    def test_no_request_probes(self, own_redis: RedisServer, connect: Connect) -> None:
        """With the breaker's thread held, an open breaker sends nothing though Redis is there."""
        client = connect(own_redis)
        client.breaker._probe = lambda: False
        client.breaker.trip(ConnectionError("pretended"))

        assert seconds_of(lambda: client.get("k")) < 0.1
        assert client.ping() is False

    def test_the_log_tells_it_in_three_lines(
        self, own_redis: RedisServer, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        client = connect(own_redis)
        own_redis.kill()
        for _ in range(50):
            seconds_of(lambda: client.get("k"))
        own_redis.start()
        wait_until(lambda: not client.breaker.is_open, seconds=2)
        wait_until(lambda: "is back after" in caplog.text, seconds=1)

        lines = [record.message for record in caplog.records if "redis" in record.message.lower()]

        assert len(lines) == 3
        assert "is unavailable" in lines[0]
        assert "rate limits are counted in this process" in lines[1]
        assert "is back after" in lines[2]

    def test_a_restarted_server_is_used_without_an_error(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        """Connections in the pool are dead then, and the client notices before it sends."""
        client = connect(own_redis)
        client.set("k", "v")
        own_redis.kill()
        own_redis.start()

        assert client.get("k") == "v"
        assert client.breaker.is_open is False

    def test_what_left_the_servers_buffer_survives_sigkill(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        """With appendfsync everysec that is usually so before the answer, and always within 2 s."""
        client = connect(own_redis)
        for n in range(500):
            client.set(f"k{n}", n)
        wait_until(
            lambda: client.execute("INFO", "persistence")["aof_buffer_length"] == 0, seconds=5
        )
        own_redis.kill()
        own_redis.start()

        assert len(client.get_many([f"k{n}" for n in range(500)])) == 500

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # about fork and threads
    def test_a_forked_child_starts_afresh(self, own_redis: RedisServer, connect: Connect) -> None:
        """The thread that probes stays in the parent: the child's breaker would stay open."""
        client = connect(own_redis)
        client.set("k", "v")
        client.breaker._probe = lambda: False
        client.breaker.trip(ConnectionError("pretended"))

        child = os.fork()
        if child == 0:
            os._exit(0 if client.get("k") == "v" else 1)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.breaker.is_open


class TestCacheInAnOutage:
    def test_reads_miss_fills_are_skipped_and_invalidation_raises(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        cache = Cache(connect(own_redis))
        cache.put("k", {"a": 1}, ttl=60)
        own_redis.kill()

        assert cache.get("k") is None
        assert cache.put("k", {"a": 2}, ttl=60) is False
        with pytest.raises(RedisUnavailable):
            cache.invalidate("k")

    def test_a_full_memory_skips_fills_and_still_reads_and_invalidates(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis)
        cache = Cache(client)
        cache.put("k", {"a": 1}, ttl=60)
        client.execute("CONFIG SET", "maxmemory", "1")

        assert cache.put("other", {"a": 2}, ttl=60) is False
        assert cache.get("k") == {"a": 1}
        assert cache.invalidate("k") == 1
        assert client.breaker.is_open is False

    @pytest.mark.parametrize("size", [1, 3])
    def test_a_server_short_of_replicas_skips_fills_and_tells_no_data(
        self, own_redis: RedisServer, connect: Connect, size: int
    ) -> None:
        client = connect(own_redis)
        client.execute("CONFIG SET", "min-replicas-to-write", "1")
        values = {f"k{n}": {"email": "john@example.com"} for n in range(size)}

        assert Cache(client).put_many(values, ttl=60) is False
        with pytest.raises(RedisUnavailable) as caught:
            client.set_many({"k": "john@example.com"})

        assert "john" not in str(caught.value)
        assert client.breaker.is_open is False

    def test_a_full_pool_skips_fills(self, own_redis: RedisServer, connect: Connect) -> None:
        client = connect(own_redis, max_connections=1, pool_timeout=0.01)
        with client.pipeline() as pipeline:
            pipeline.watch("k")  # holds the one connection

            assert Cache(client).put("k", 1, ttl=60) is False

    def test_a_loading_server_counts_as_unavailable(self, connect: Connect) -> None:
        client = connect(RedisServer(Path("unused"), Path("unused")))

        def loading() -> None:
            raise redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory")

        with pytest.raises(RedisUnavailable):
            client.guard(loading)
