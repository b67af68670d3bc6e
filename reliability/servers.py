"""The servers that a run needs, and leaves nothing of."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres


def comes_true(is_so: Callable[[], bool], seconds: float) -> bool:
    """Whether it is so, at the latest after so many seconds."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def a_redis(folder: Path) -> Iterator[RedisServer]:
    """One with the append-only file of `redis/redis.conf`, until the block ends."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("no Redis server on this machine")
    server = RedisServer(binary, folder / "redis", options={"appendfsync": "everysec"})
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def a_database(folder: Path, *, postgres: bool) -> Iterator[str]:
    """The SQLAlchemy URL of an empty one, until the block ends."""
    if not postgres:
        yield f"sqlite:///{folder / 'chaos.sqlite3'}"
        return
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL on this machine")
    with running_postgres(binaries) as url:
        yield url
