"""Connections to Redis: pools, connect hooks, and commands with their replies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis

from .brief_sockets import BriefSocket
from .errors import RedisRefused, says_outage
from .pool import Pool, mark_all_read
from .sentinel import Master
from .settings import RedisSettings
from .to_master import connection_class
from .values import Value

SendCommand = Callable[..., Any]
"""Sends a command, given as its words, and returns the reply."""

ConnectHook = Callable[[SendCommand], None]


def open_pool(
    settings: RedisSettings,
    db: int,
    connect_hooks: list[ConnectHook],
    master: Master | None = None,
) -> Pool:
    """A pool that connects when it is first used. Hooks may be appended to the list later.

    Its connections lead to the `master`, if sentinels name one.
    """
    on_connect = partial(_on_connect, connect_hooks)
    return _pool(settings, db, settings.max_connections, master, redis_connect_func=on_connect)


def master_of(settings: RedisSettings) -> Master | None:
    """What finds the master, if the settings name sentinels. It connects when it is first used."""
    sentinels = settings.by_sentinel
    return None if sentinels is None else Master(sentinels, settings.sentinel_options())


def blocking_client(settings: RedisSettings, db: int) -> Any:
    """A redis-py client with one connection, for commands that block.

    It returns bytes, has no connect hooks, and raises redis-py's own errors. It connects when it is
    first used. Its commands must not block longer than the settings' `read_timeout`.
    """
    pool = _pool(settings, db, 1, master_of(settings), decode_responses=False)
    return redis.Redis(connection_pool=pool)


def _pool(
    settings: RedisSettings,
    db: int,
    max_connections: int,
    master: Master | None,
    **given: Any,
) -> Pool:
    options = settings.connection_options(db) | given
    if master is not None:
        options["connection_class"] = connection_class(options.get("connection_class"))
        options["master"] = master
    pool = Pool(max_connections=max_connections, timeout=settings.pool_timeout, **options)
    if master is not None:
        master.on_move(pool.reconnect)
    return pool


def exchange(pool: Any, *commands: tuple[Value, ...], raw: bool = False) -> list[Any]:
    """Send commands together, and return their replies. A ResponseError may be one of them.

    With `raw`, texts are bytes.

    Any other error closes the connection, as does an error reply that says that the server is
    unavailable, such as LOADING: a reply that was not read would be taken for the next one.
    """
    connection = pool.get_connection()
    try:
        packed = [part for command in commands for part in connection.pack_command(*command)]
        connection.send_packed_command([b"".join(packed)])
        replies = [_reply(connection, raw) for _ in commands]
        mark_all_read(connection)
        return replies
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _reply(connection: Any, raw: bool) -> Any:
    try:
        return connection.read_response(disable_decoding=raw)
    except redis.ResponseError as error:
        if says_outage(error):
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
    # redis-py asks no one for the socket.
    connection._sock = BriefSocket.of(connection._sock, connection.socket_timeout)  # noqa: SLF001
    connection.on_connect()
    run_hooks(connect_hooks, connection)
