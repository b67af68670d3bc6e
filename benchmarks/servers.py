"""What benchmarks measure with: a Redis, and gunicorn as the services have it."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from common.pyportal_common.redis_server import (
    RedisServer,
    embedded_server,
    free_port,
    redis_server_on_path,
)

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "usermanagement-service"

_START_TIMEOUT = 20.0  # seconds


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


@contextlib.contextmanager
def gunicorn(
    module: str,
    variables: Mapping[str, str],
    *,
    directory: Path = ROOT,
    python: Path | str = sys.executable,
) -> Iterator[int]:
    """The port where one worker serves `module` as the service is served, until the block ends."""
    port = free_port()
    words = ["--config", str(SERVICE / "gunicorn.conf.py"), "--workers", "1"]
    process = subprocess.Popen(
        [str(python), "-m", "gunicorn", *words, "--bind", f"127.0.0.1:{port}", module],
        cwd=directory,
        env={**os.environ, **variables},
    )
    try:
        _await(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(_START_TIMEOUT)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    # gunicorn listens when it has loaded the application: from then on it will answer.
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} did not start")
