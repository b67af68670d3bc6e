"""A pool of redis-py's connections whose checkout costs little."""

import os
import ssl
import threading
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

import redis

from .errors import RedisPoolExhausted
from .sentinel import Master

_LOOK_AFTER_SECONDS = 0.01


class Pool(redis.ConnectionPool):
    """At most `max_connections` connections; a caller waits up to `timeout` seconds for one.

    The pipelines of a client use its pool too, so the bound holds for both. It connects when it is
    first used. The connection that was released last is used next; if there is none, the first
    caller that waits gets the next one. A forked child starts without connections.

    With a `master`, which sentinels name, all connections lead to it, and are replaced when another
    server has become the master.
    """

    def __init__(self, *, timeout: float, **options: Any) -> None:
        self._timeout = timeout
        self.master: Master | None = options.get("master")
        super().__init__(**options)

    def reset(self) -> None:
        """Forget every connection. Called at the start and in a forked child."""
        self._opened: list[Any] = []
        self._free: deque[Any] = deque([None] * self.max_connections)  # None: not opened yet
        self._waiting: deque[SimpleQueue[Any]] = deque()
        self._lock = threading.RLock()
        if self.master is not None:
            self.master.reset()
        self.pid = os.getpid()  # last: other threads must find the above

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """An open connection without unread data, on which the connect hooks have run.

        Raises RedisPoolExhausted, and redis-py's errors if it cannot be opened.
        """
        if self.pid != os.getpid():
            self._checkpid()
        if self.master is not None:
            self.master.confirm()
        connection = self._take()
        try:
            if connection is None:
                connection = self.make_connection()
            if connection.should_reconnect() or not _was_just_read(connection):
                _prepare(connection)
            connection.read_at = 0.0  # its user may leave a reply unread
        except BaseException:
            if connection is not None:
                connection.disconnect()  # it may be open without its hooks
            self.release(connection)
            raise
        return connection

    def make_connection(self) -> Any:
        """A connection that is not open yet."""
        connection = self.connection_class(**self.connection_kwargs)
        connection.read_at = 0.0
        self._opened.append(connection)
        return connection

    def release(self, connection: Any) -> None:
        """Give back a connection, or the place of one."""
        if self.pid != os.getpid():
            self._checkpid()
        if connection is not None:
            if connection.pid != self.pid:  # a socket of the parent process
                connection.disconnect()
                return
            if connection.should_reconnect():
                connection.disconnect()
        self._free.append(connection)
        if self._waiting:
            self._serve_waiting()

    @property
    def in_use(self) -> int:
        """The connections that callers have at this moment."""
        return self.max_connections - len(self._free)

    def disconnect(self, *_: Any, **__: Any) -> None:
        """Close every connection."""
        self._checkpid()
        for connection in list(self._opened):
            connection.disconnect()
        if self.master is not None:
            self.master.close()

    def reconnect(self) -> None:
        """Close every connection before its next use, and open new ones in their place.

        Those in use are closed when they are released, so no command is lost.
        """
        for connection in list(self._opened):
            connection.mark_for_reconnect()

    def _take(self) -> Any:
        try:
            return self._free.pop()
        except IndexError:
            return self._wait()

    def _wait(self) -> Any:
        place: SimpleQueue[Any] = SimpleQueue()
        with self._lock:
            self._waiting.append(place)
        self._serve_waiting()  # with those that were released meanwhile
        try:
            return place.get(timeout=self._timeout)
        except Empty:
            return self._give_up(place)
        except BaseException:  # an interrupt: nobody may hand a connection to this place
            with suppress(RedisPoolExhausted):
                self.release(self._give_up(place))
            raise

    def _give_up(self, place: SimpleQueue[Any]) -> Any:
        """The connection that was handed over at the last moment, or RedisPoolExhausted."""
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
                raise RedisPoolExhausted(
                    f"all {self.max_connections} connections to Redis are in use; "
                    "REDIS_MAX_CONNECTIONS should be at least the number of threads"
                ) from None
        return place.get()

    def _serve_waiting(self) -> None:
        """Hand free connections to those that wait. Callers that do not wait may be faster."""
        with self._lock, suppress(IndexError):
            while self._waiting:
                connection = self._free.pop()
                self._waiting.popleft().put(connection)


def mark_all_read(connection: Any) -> None:
    """Say that every reply on this connection has just been read.

    Its next use within 10 ms does not look for unread data, or whether the server has closed it. If
    the server closes it in this time, that is an outage, as during a command.
    """
    connection.read_at = monotonic()


def _was_just_read(connection: Any) -> bool:
    is_recent = monotonic() < connection.read_at + _LOOK_AFTER_SECONDS
    return is_recent and _is_connected(connection)


def _prepare(connection: Any) -> None:
    """Open a connection, also if the server has closed it, or if it has unread data."""
    if connection.should_reconnect() or (_is_connected(connection) and _is_readable(connection)):
        connection.disconnect()
    if not _is_connected(connection):
        connection.connect()


def _is_connected(connection: Any) -> bool:
    return connection._sock is not None  # noqa: SLF001  redis-py 7 has no public name for it


def _is_readable(connection: Any) -> bool:
    try:
        return bool(connection.can_read()) and not _are_of_tls(connection._sock)  # noqa: SLF001
    except (redis.RedisError, OSError):  # the server has closed it
        return True


def _are_of_tls(sock: Any) -> bool:
    """Whether what can be read is no reply, but session tickets or new keys. It reads them."""
    if not isinstance(sock, ssl.SSLSocket):
        return False
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    finally:
        sock.settimeout(timeout)
    return False
