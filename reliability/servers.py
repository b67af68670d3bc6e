"""The Redis server and the SQL database of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

_OPTIONS = {"appendfsync": "everysec", "repl-diskless-sync-delay": "0"}


@contextmanager
def running_redis(folder: Path, name: str = "redis") -> Iterator[RedisServer]:
    """A Redis with the append-only file of `redis/redis.conf`, until the block ends."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("there is no Redis server on this machine")
    server = RedisServer(binary, folder / name, options=_OPTIONS)
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
