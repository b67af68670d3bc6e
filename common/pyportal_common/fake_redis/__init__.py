"""An in-process Redis for unit tests of apps. See the fixture `fake_redis` of the pytest plugin."""

import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ..cache_handlers.client import client
from ..cache_handlers.client.breaker import Breaker
from ..cache_handlers.client.errors import RedisUnavailable
from ..cache_handlers.client.pool import Pool
from ..cache_handlers.client.sentinel import Master
from ..cache_handlers.sessions.ended import EndedSessions
from ..extras import requires

with requires("testing"):
    from fakeredis import FakeRedisConnection, FakeServer

_INFO = re.compile(rb"\*[123]\r\n\$4\r\nINFO\r\n(?:\$6\r\nserver\r\n)?(?:\$11\r\nreplication\r\n)?")
_LUA_PATH = f"{Path(__file__).parent}/?.lua;;"  # where fakeredis finds the module `struct`
_LONGEST_RECOVERY = 5.0  # seconds


class FakeRedis:
    """A Redis without keys, in this process. Clients of every URL use it while it is installed.

    It does what the Redis layer needs. How long commands take, memory, persistence and failover are
    not those of a server.
    """

    def __init__(self) -> None:
        self._server = FakeServer(version=(7, 4))
        self._server_info = f"redis_version:7.4.0\r\nrun_id:{secrets.token_hex(20)}\r\n".encode()
        self._pools: set[Pool] = set()
        self._breakers: set[Breaker] = set()
        self._tripped: set[Breaker] = set()
        self._lock = threading.Lock()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have all clients of this process use it, also those that exist already."""
        trip, check, take = Breaker.trip, Breaker.check, Pool.get_connection

        def checking(breaker: Breaker) -> None:
            if breaker not in self._breakers:  # an earlier test may have opened it
                self._breakers.add(breaker)
                breaker.start_afresh()
            check(breaker)

        def taking(pool: Pool, *args: Any, **options: Any) -> Any:
            if pool not in self._pools:  # it may have connections to a server
                self._pools.add(pool)
                pool.disconnect()
                pool.reset()
            return take(pool, *args, **options)

        def recording_trip(breaker: Breaker, error: Exception) -> RedisUnavailable:
            self._tripped.add(breaker)
            return trip(breaker, error)

        with ExitStack() as patches:
            patches.enter_context(patch.dict("os.environ", LUA_PATH=_LUA_PATH))
            patches.enter_context(patch.object(Pool, "get_connection", taking))
            patches.enter_context(patch.object(Pool, "make_connection", self._in_pool()))
            patches.enter_context(patch.object(client, "new_connection", self._new_connection))
            # It is the only process, and it does not crash.
            patches.enter_context(patch.object(EndedSessions, "_ensure_thread", lambda _: None))
            patches.enter_context(patch.object(Breaker, "check", checking))
            patches.enter_context(patch.object(Breaker, "trip", recording_trip))
            patches.enter_context(patch.object(Master, "confirm", lambda _: None))
            try:
                yield
            finally:
                self._server.connected = True
                for pool in self._pools:
                    pool.disconnect()
                    pool.reset()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Refuse connections in the block. After it all clients use the server again."""
        self._server.connected = False
        try:
            yield
        finally:
            self._server.connected = True
            until = time.monotonic() + _LONGEST_RECOVERY
            while any(breaker.is_open for breaker in self._tripped) and time.monotonic() < until:
                time.sleep(0.01)  # for the probe of the breaker
            self._tripped.clear()

    def _in_pool(self) -> Any:
        def make_connection(pool: Pool) -> Any:
            connection = self._connection(pool.connection_kwargs)
            connection.read_at = 0.0
            pool._opened.append(connection)  # noqa: SLF001
            return connection

        return make_connection

    @contextmanager
    def _new_connection(self, pool: Any) -> Iterator[Any]:
        connection = self._connection(pool.connection_kwargs | {"redis_connect_func": None})
        try:
            connection.connect()
            yield connection
        finally:
            connection.disconnect()

    def _connection(self, options: dict[str, Any]) -> Any:
        options = {name: value for name, value in options.items() if name not in _OF_REAL_ONES}
        return _Connection(self._server, self._server_info, **options)


_OF_REAL_ONES = {"master", "tls"}  # options of our connections that are not fakeredis's


class _Connection(FakeRedisConnection):
    """A connection to a server that answers INFO, which fakeredis does not know."""

    def __init__(self, server: FakeServer, info: bytes, **options: Any) -> None:
        super().__init__(server=server, lua_modules={"struct"}, **options)
        self._echo = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(info), info)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send commands."""
        packed = command if isinstance(command, bytes) else b"".join(command)
        send: Any = super().send_packed_command
        send([_INFO.sub(lambda _: self._echo, packed)], check_health)
