"""The Redis that benchmarks measure with."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.pyportal_common.embedded import RedisServer, embedded_server, redis_server_on_path


@contextlib.contextmanager
def own_redis() -> Iterator[tuple[RedisServer, Path]]:
    """A server of one's own, the machine's or the embedded one, and a folder that goes with it."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("no Redis server on this machine")
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(binary, Path(folder) / "redis")
        server.start()
        try:
            yield server, Path(folder)
        finally:
            server.stop()
