"""Connections: how they are opened, greeted, shared and probed."""

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
ConnectHook = Callable[[SendCommand], None]


def open_pool(
    settings: RedisSettings, db: int, connect_hooks: list[ConnectHook]
) -> redis.BlockingConnectionPool:
    """A pool that opens nothing before the first command. `connect_hooks` may be added to later."""
    return redis.BlockingConnectionPool(
        redis_connect_func=partial(_greet, connect_hooks),
        max_connections=settings.max_connections,
        timeout=settings.pool_timeout,
        queue_class=_FreeConnections,
        **settings.connection_options(db),
    )


def client_for_a_library(settings: RedisSettings, db: int, *, max_connections: int = 64) -> Any:
    """A redis-py client with this layer's bounds on time, for a library that wants one: bytes in
    its answers, and redis-py's own errors. Opens nothing before the first command.
    """
    options = settings.connection_options(db) | {"decode_responses": False}
    pool = redis.BlockingConnectionPool(
        max_connections=max_connections,
        timeout=settings.pool_timeout,
        queue_class=_FreeConnections,
        **options,
    )
    return redis.Redis(connection_pool=pool)


def answer_of(connection: Any) -> Any:
    """An answer, or the error that is one. The next can be read in any case."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        if says_outage(error):
            connection.disconnect()  # with the answers that were not read
            raise
        return error


def _greet(connect_hooks: list[ConnectHook], connection: Any) -> None:
    """What redis-py calls for a new connection."""
    connection.on_connect()

    def exchange(*command: Value) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    for greeting in connect_hooks:
        try:
            greeting(exchange)
        except redis.RedisError:
            raise
        except Exception as error:
            raise redis.ConnectionError(f"not used, because a greeting failed: {error}") from error


class _FreeConnections(queue.LifoQueue[Any]):
    """The pool's queue. redis-py calls an empty one a ConnectionError, as if Redis were down."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return super().get(block, timeout)
        except queue.Empty:
            raise RedisPoolExhausted(
                f"all {self.maxsize} connections to Redis are in use; "
                "REDIS_MAX_CONNECTIONS should be at least the number of threads"
            ) from None


def breaker_for(settings: RedisSettings) -> Breaker:
    """A breaker whose probe pings the server on a connection of its own."""

    options = settings.connection_options(settings.database())

    def answers() -> bool:
        probe = redis.Redis(connection_pool=redis.ConnectionPool(**options))
        with closing(probe.connection_pool):
            try:
                return bool(probe.ping())
            except redis.RedisError:
                return False

    return Breaker(settings.address, answers)
