"""The Redis server and the SQL databases of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import create_engine, make_url, text

from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.certificates import Authority, TlsRedisServer
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

_OPTIONS = {"appendfsync": "everysec", "repl-diskless-sync-delay": "0"}


def redis_binary() -> Path:
    """The installed server, else the embedded one. Exits if there is none."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("there is no Redis server on this machine")
    return binary


@contextmanager
def running_redis(
    folder: Path, name: str = "redis", authority: Authority | None = None
) -> Iterator[RedisServer]:
    """A Redis with the append-only file of `redis/redis.conf`, until the block ends.

    With an `authority` it speaks TLS only.
    """
    binary = redis_binary()
    server = (
        RedisServer(binary, folder / name, options=_OPTIONS)
        if authority is None
        else TlsRedisServer(binary, folder / name, authority, options=_OPTIONS)
    )
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def empty_database(folder: Path, kind: str) -> Iterator[str]:
    """The SQLAlchemy URL of an empty "sqlite" or "postgresql" database, until the block ends."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'database.sqlite3'}"
        return
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("there is no PostgreSQL on this machine")
    with running_postgres(binaries) as url:
        yield url


@contextmanager
def empty_databases(folder: Path, kind: str, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """The URL of an empty database for each name, until the block ends."""
    with empty_database(folder, kind) as url:
        if kind == "sqlite":
            yield {name: f"sqlite:///{folder / name}.sqlite3" for name in names}
            return
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in names:
                connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        server = make_url(url)
        yield {
            name: server.set(database=name).render_as_string(hide_password=False) for name in names
        }


def command(server: RedisServer, *words: str | int, authority: Authority | None = None) -> object:
    """The reply to one command, on its own connection."""
    options: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "decode_responses": True}
    connection = (
        redis.Connection(**options)
        if authority is None
        else redis.SSLConnection(ssl_ca_certs=str(authority.file), **options)
    )
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        connection.disconnect()
