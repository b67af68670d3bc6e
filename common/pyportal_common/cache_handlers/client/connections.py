"""Connections to Redis: pools and connect hooks."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis

from .errors import RedisPoolExhausted, RedisRefused, says_outage
from .settings import RedisSettings
from .values import Value

SendCommand = Callable[..., Any]
"""Sends a command, given as its words, and returns the reply."""

ConnectHook = Callable[[SendCommand], None]


def open_pool(
    settings: RedisSettings, db: int, connect_hooks: list[ConnectHook]
) -> redis.BlockingConnectionPool:
    """A pool that connects when it is first used. Hooks may be appended to the list later."""
    on_connect = partial(_on_connect, connect_hooks)
    return _pool(settings, db, settings.max_connections, redis_connect_func=on_connect)


def client_for_a_library(settings: RedisSettings, db: int, *, max_connections: int = 64) -> Any:
    """A redis-py client with this layer's timeouts, for a library that requires one.

    It returns bytes and raises redis-py's own errors. It connects when it is first used.
    """
    pool = _pool(settings, db, max_connections, decode_responses=False)
    return redis.Redis(connection_pool=pool)


def _pool(
    settings: RedisSettings, db: int, max_connections: int, **options: Any
) -> redis.BlockingConnectionPool:
    return redis.BlockingConnectionPool(
        max_connections=max_connections,
        timeout=settings.pool_timeout,
        queue_class=_FreeConnections,
        **settings.connection_options(db) | options,
    )


def reconnect(pool: Any) -> None:
    """Close every connection of the pool before its next use, and open new ones in their place.

    Those in use are closed when they are released, so no command is lost.
    """
    for connection in list(pool._connections):  # noqa: SLF001  there is no public list of all
        connection.mark_for_reconnect()


def read_reply(connection: Any) -> Any:
    """The reply, or the error that it is. The next reply can be read in both cases."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        if says_outage(error):
            connection.disconnect()  # there may be replies that were not read
            raise
        return error


def run_hooks(connect_hooks: list[ConnectHook], connection: Any) -> None:
    """Run the hooks on a new connection. Raises redis-py's errors."""

    def send(*command: Value) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    for hook in connect_hooks:
        try:
            hook(send)
        except redis.RedisError:
            raise
        except RedisRefused as refusal:
            if isinstance(refusal.__cause__, redis.ResponseError):
                raise refusal.__cause__ from None
            raise redis.ResponseError(f"{refusal.code} {refusal}") from refusal
        except Exception as error:
            raise redis.ConnectionError(f"a connect hook failed: {error}") from error


@contextmanager
def new_connection(pool: Any) -> Iterator[Any]:
    """A connection beside those of the pool, on which no hook has run."""
    options = pool.connection_kwargs | {"redis_connect_func": None}
    connection = pool.connection_class(**options)
    try:
        connection.connect()
        yield connection
    finally:
        connection.disconnect()


def _on_connect(connect_hooks: list[ConnectHook], connection: Any) -> None:
    connection.on_connect()
    run_hooks(connect_hooks, connection)


class _FreeConnections(queue.LifoQueue[Any]):
    """The queue of a pool. For an empty one redis-py raises ConnectionError, as in an outage."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            connection = super().get(block, timeout)
        except queue.Empty:
            raise RedisPoolExhausted(
                f"all {self.maxsize} connections to Redis are in use; "
                "REDIS_MAX_CONNECTIONS should be at least the number of threads"
            ) from None
        if connection is not None and connection.should_reconnect():
            connection.disconnect()  # redis-py does this only when one is released
        return connection
