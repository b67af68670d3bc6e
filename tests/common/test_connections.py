"""The pool and its connections: what holds when replies are cut, late, or never come."""

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any
from unittest.mock import patch

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisPoolExhausted,
    RedisUnavailable,
)
from common.pyportal_common.cache_handlers.client import pool as pool_module
from common.pyportal_common.cache_handlers.client.pool import _LOOK_AFTER_SECONDS, Pool
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.plugin import settings_for

from .load import Connect, run_threads
from .waiting import wait_until

LONG = "x" * 100_000


class CuttingRelay:
    """Relays connections to a server. With `cut_after` it ends each after so many bytes of it."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut_after: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._server.port))
            for source, target in ((near, far), (far, near)):
                threading.Thread(
                    target=self._forward, args=(source, target, source is far), daemon=True
                ).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        try:
            while chunk := source.recv(65536):
                cut = self.cut_after if is_reply else None
                target.sendall(chunk[:cut])
                if cut is not None:
                    break
        except OSError:
            pass
        for end in (source, target):
            end.close()


@pytest.fixture
def relay(redis_server: RedisServer) -> Iterator[CuttingRelay]:
    relay = CuttingRelay(redis_server)
    yield relay
    relay.close()


def clients_of(server: RedisServer) -> int:
    """How many clients a server has, without the one that asks."""
    with redis.Redis(port=server.port) as other:
        return int(other.info("clients")["connected_clients"]) - 1


def own_value(client: RedisClient, name: str) -> None:
    assert client.get(name) == name


class TestUnreadReplies:
    """A reply that was not read is never that of the next command."""

    @pytest.mark.parametrize("cut_after", [1, 5, 50_000])
    def test_a_reply_that_is_cut_off_is_an_outage_and_the_next_command_gets_its_own(
        self, redis_server: RedisServer, relay: CuttingRelay, connect: Connect, cut_after: int
    ) -> None:
        connect(redis_server).set_many({"long": LONG, "other": "other"})
        client = connect(relay)
        own_value(client, "other")
        relay.cut_after = cut_after

        with pytest.raises(RedisUnavailable):
            client.get("long")

        relay.cut_after = None
        wait_until(lambda: not client.breaker.is_open)
        own_value(client, "other")

    def test_a_late_reply_is_discarded(self, own_redis: RedisServer, connect: Connect) -> None:
        client = connect(own_redis, read_timeout=0.05, max_connections=1)
        client.set_many({"a": "a", "b": "b"})
        own_redis.pause()
        with pytest.raises(RedisUnavailable):
            client.get("a")

        own_redis.resume()

        wait_until(lambda: not client.breaker.is_open)
        own_value(client, "b")

    def test_an_interrupted_call_leaves_no_reply_behind(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, max_connections=1, read_timeout=10)
        client.set_many({"a": "a", "b": "b"})
        own_redis.pause()
        with (
            patch.object(redis.Connection, "read_response", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            client.get("a")

        later = threading.Timer(0.1, own_redis.resume)
        later.start()

        own_value(client, "b")

    def test_an_interrupted_connect_is_begun_anew(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1)
        hooks_run: list[str] = []

        def interrupt_once(_: object) -> None:
            hooks_run.append("first")
            if len(hooks_run) == 1:
                raise KeyboardInterrupt

        client.on_connect(interrupt_once)
        client.on_connect(lambda _: hooks_run.append("second"))
        with pytest.raises(KeyboardInterrupt):
            client.get("a")

        client.get("a")

        assert hooks_run == ["first", "first", "second"]

    def test_an_error_reply_keeps_the_connection(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1)
        client.breaker.close()  # after a refusal its probe has connections replaced
        client.set_many({"a": "a"})
        client.hset("hash", "f", "v")
        mine = client.execute("CLIENT ID")

        with pytest.raises(RedisUnavailable):
            client.get("hash")
        assert client.get_with_ttl("hash") == (None, -1)

        own_value(client, "a")
        assert client.execute("CLIENT ID") == mine

    def test_every_thread_gets_its_own_replies_while_the_server_hangs_again_and_again(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, read_timeout=0.03, max_connections=8, pool_timeout=5)
        names = [f"k{number}" for number in range(16)]
        client.set_many({name: name for name in names})
        over = threading.Event()
        wrong: list[object] = []
        outages = itertools.count()

        def read(name: str) -> None:
            while not over.is_set():
                try:
                    found = client.get(name)
                except RedisUnavailable:
                    next(outages)
                    time.sleep(0.001)
                    continue
                if found != name:
                    wrong.append(found)

        def hang() -> None:
            for _ in range(4):
                wait_until(lambda: not client.breaker.is_open)
                own_redis.pause()
                wait_until(lambda: client.breaker.is_open)
                own_redis.resume()
            over.set()

        run_threads([hang, *(lambda name=name: read(name) for name in names)])

        assert wrong == []
        assert next(outages) >= 4


class TestBound:
    def test_64_threads_share_8_connections_and_get_their_own_replies(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, max_connections=8, pool_timeout=30, read_timeout=30)
        done = itertools.count()

        def use(name: str) -> None:
            client.set(name, name)
            for _ in range(20):
                own_value(client, name)
                with client.pipeline() as pipeline:
                    pipeline.get(name)
                    assert pipeline.execute() == [name]
            next(done)

        run_threads([lambda n=n: use(f"k{n}") for n in range(64)])  # type: ignore[misc]

        assert next(done) == 64
        assert clients_of(own_redis) <= 8  # none was closed meanwhile

    def test_a_watch_and_a_command_count_alike(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=2, pool_timeout=0.01)
        with client.pipeline() as first, client.pipeline() as second:
            first.watch("a")
            assert client.ping()
            second.watch("b")

            with pytest.raises(RedisPoolExhausted, match="all 2 connections"):
                client.get("a")

            assert client.breaker.is_open is False
        assert client.get("a") is None

    def test_who_waits_longest_gets_the_next_connection(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        """A thread that uses its connection again and again does not keep it from others."""
        client = connect(redis_server, max_connections=1, pool_timeout=10)
        over = threading.Event()

        def use_on_and_on() -> None:
            while not over.is_set():
                client.get("a")

        def use() -> None:
            for _ in range(50):
                client.get("b")

        busy = threading.Thread(target=use_on_and_on)
        busy.start()
        run_threads([use] * 3)
        over.set()
        busy.join()

    def test_threads_that_end_give_their_connections_back(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, max_connections=2, pool_timeout=5)

        for _ in range(10):
            run_threads([client.ping] * 2)

        assert clients_of(own_redis) <= 2
        assert client.ping()

    def test_a_connection_that_cannot_be_opened_gives_its_place_back(self) -> None:
        pool = Pool(max_connections=1, timeout=0, host="127.0.0.1", port=free_port())

        for _ in range(3):
            with pytest.raises(redis.ConnectionError):
                pool.get_connection()

    def test_a_caller_that_is_interrupted_while_it_waits_takes_no_place_with_it(self) -> None:
        pool = Pool(max_connections=1, timeout=0, host="127.0.0.1", port=free_port())

        class Interrupted(SimpleQueue[Any]):
            """As by Ctrl-C."""

            def get(self, *_: Any, **__: Any) -> Any:
                raise KeyboardInterrupt

        pool._take()
        with (
            patch("common.pyportal_common.cache_handlers.client.pool.SimpleQueue", Interrupted),
            pytest.raises(KeyboardInterrupt),
        ):
            pool._take()

        pool.release(None)
        assert pool._take() is None

    def test_a_caller_that_gets_a_connection_at_its_deadline_uses_it(self) -> None:
        pool = Pool(max_connections=1, timeout=0, host="127.0.0.1", port=free_port())

        class Late(SimpleQueue[Any]):
            """Times out while another thread releases a connection."""

            def get(self, *_: Any, timeout: float | None = None) -> Any:
                if timeout is None:
                    return super().get()
                pool.release(None)
                raise Empty

        pool._take()
        with patch("common.pyportal_common.cache_handlers.client.pool.SimpleQueue", Late):
            assert pool._take() is None
        with pytest.raises(RedisPoolExhausted):
            pool._take()

    def test_a_blocking_client_may_block(self, redis_server: RedisServer, connect: Connect) -> None:
        consumer = connect(redis_server, read_timeout=30)
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(consumer.execute("BLPOP", "jobs", 20)))
        thread.start()
        client = connect(redis_server)
        wait_until(lambda: "blpop" in str(client.execute("CLIENT", "LIST")), seconds=20)

        client.execute("RPUSH", "jobs", "7")

        thread.join(10)
        assert [tuple(each) for each in got] == [("jobs", "7")]


class TestReconnecting:
    def test_a_connection_that_the_server_closed_is_replaced_without_an_error(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client, operator = connect(redis_server, max_connections=4), connect(redis_server)
        opened: list[object] = []
        client.on_connect(opened.append)
        run_threads([client.ping] * 4)
        before = len(opened)

        operator.execute("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(2 * _LOOK_AFTER_SECONDS)  # until then connections are not looked at

        assert client.set("a", 1)
        assert len(opened) == before + 1
        assert client.breaker.is_open is False

    def test_one_that_the_server_closes_right_after_a_reply_is_an_outage_that_ends_at_once(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client, operator = connect(redis_server), connect(redis_server)
        with patch.object(pool_module, "_LOOK_AFTER_SECONDS", 60):
            client.set("a", "a")
            operator.execute("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")

            with pytest.raises(RedisUnavailable):
                client.get("a")

            wait_until(lambda: not client.breaker.is_open)
            own_value(client, "a")

    def test_data_that_nobody_asked_for_is_not_taken_for_a_reply(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1)
        client.set("a", "a")
        pool = client._pool
        connection = pool.get_connection()
        connection.send_command("PING")
        wait_until(lambda: connection.can_read())
        pool.release(connection)

        own_value(client, "a")

    def test_connections_are_looked_at_unless_all_replies_were_read_a_moment_ago(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1)
        looked: list[object] = []

        def use(command: Callable[[], object]) -> bool:
            """Whether the connection is looked at in its next use."""
            command()
            looked.clear()
            connection = client._pool.get_connection()
            client._pool.release(connection)
            return bool(looked)

        def look(connection: object) -> bool:
            looked.append(connection)
            return False

        def in_pipeline() -> None:
            with client.pipeline() as pipeline:
                pipeline.get("a")
                pipeline.execute()

        with (
            patch.object(pool_module, "_is_readable", new=look),
            patch.object(pool_module, "_LOOK_AFTER_SECONDS", 60),
        ):
            client.set("a", 1)

            assert use(lambda: client.get("a")) is False
            assert use(in_pipeline) is True
            assert use(lambda: client.get("a")) is False
            with patch.object(pool_module, "_LOOK_AFTER_SECONDS", 0):
                assert use(lambda: client.get("a")) is True

    def test_a_reconnect_does_not_lose_the_command_in_use(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1)
        before = client.execute("CLIENT ID")

        with client.pipeline() as pipeline:
            pipeline.watch("a")
            client.reconnect()
            assert pipeline.get("a") is None

        assert client.execute("CLIENT ID") != before

    def test_a_failing_hook_is_an_outage_and_leaks_no_connection(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1, pool_timeout=0)
        fails = True

        def hook(_: object) -> None:
            if fails:
                raise ValueError("made for this test")

        client.on_connect(hook)
        for _ in range(3):
            with pytest.raises(RedisUnavailable):
                client.get("a")
        fails = False

        wait_until(lambda: not client.breaker.is_open)
        assert client.get("a") is None


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # about fork and threads
class TestFork:
    def test_a_child_opens_its_own_connections(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1)
        mine = client.execute("CLIENT ID")
        reader, writer = os.pipe()

        child = os.fork()
        if child == 0:
            try:
                os.write(writer, str(client.execute("CLIENT ID")).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)

        theirs = int(os.read(reader, 100))
        assert theirs != mine
        assert client.execute("CLIENT ID") == mine  # the child has not closed it

    def test_a_child_does_not_give_back_a_connection_of_its_parent(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1, pool_timeout=0)
        pipeline: Any = client.pipeline()
        pipeline.watch("a")
        mine = pipeline.execute_command("CLIENT ID")

        child = os.fork()
        if child == 0:
            status = 1
            try:
                client._pool.release(pipeline.connection)
                status = int(client.execute("CLIENT ID") == mine)
            finally:
                os._exit(status)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pipeline.get("a") is None
        pipeline.reset()

    def test_forks_under_load_mix_no_replies(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=4, pool_timeout=10, read_timeout=10)
        names = [f"k{number}" for number in range(4)]
        client.set_many({name: name for name in [*names, "child"]})
        over = threading.Event()
        wrong: list[object] = []

        def read(name: str) -> None:
            while not over.is_set():
                found = client.get(name)
                if found != name:
                    wrong.append(found)

        def fork_children() -> None:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    status = 1
                    try:
                        status = int(any(client.get("child") != "child" for _ in range(20)))
                    finally:
                        os._exit(status)
                wrong.extend([child] if os.waitpid(child, 0)[1] else [])
            over.set()

        run_threads([fork_children, *(lambda name=name: read(name) for name in names)])

        assert wrong == []


def test_the_settings_of_the_pool_are_those_of_the_environment(redis_server: RedisServer) -> None:
    settings = settings_for(redis_server, max_connections=3, pool_timeout=0)
    client = RedisClient.connect(settings, db=0)
    held = [client._pool.get_connection() for _ in range(3)]

    with pytest.raises(RedisPoolExhausted, match="all 3 connections"):
        client.get("a")

    for connection in held:
        client._pool.release(connection)
    assert client.get("a") is None
    client.close()
