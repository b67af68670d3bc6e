"""Connections to Redis: pools, connect hooks and the probe."""

import queue
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import redis

from .breaker import Breaker
from .errors import RedisPoolExhausted, says_outage
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


def read_reply(connection: Any) -> Any:
    """The reply, or the error that it is. The next reply can be read in both cases."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        if says_outage(error):
            connection.disconnect()  # there may be replies that were not read
            raise
        return error


def _on_connect(connect_hooks: list[ConnectHook], connection: Any) -> None:
    connection.on_connect()

    def send(*command: Value) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    for hook in connect_hooks:
        try:
            hook(send)
        except redis.RedisError:
            raise
        except Exception as error:
            raise redis.ConnectionError(f"a connect hook failed: {error}") from error


class _FreeConnections(queue.LifoQueue[Any]):
    """The queue of a pool. For an empty one redis-py raises ConnectionError, as in an outage."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return super().get(block, timeout)
        except queue.Empty:
            raise RedisPoolExhausted(
                f"all {self.maxsize} connections to Redis are in use; "
                "REDIS_MAX_CONNECTIONS should be at least the number of threads"
            ) from None


def breaker_for(settings: RedisSettings) -> Breaker:
    """A breaker that probes with a PING on a separate connection."""
    options = settings.connection_options(settings.database())

    def ping() -> bool:
        probe = redis.Redis(connection_pool=redis.ConnectionPool(**options))
        with closing(probe.connection_pool):
            try:
                return bool(probe.ping())
            except redis.RedisError:
                return False

    return Breaker(settings.address, ping)
