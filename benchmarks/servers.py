"""The processes that the benchmarks measure: Redis, gunicorn, workers."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.redis_server import (
    RedisServer,
    embedded_server,
    free_port,
    redis_server_on_path,
)

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv" / "peers"
USERMANAGEMENT, TASKPROCESSING, NOTIFICATION = (
    ROOT / f"{name}-service" for name in ("usermanagement", "taskprocessing", "notification")
)

_TIMEOUT = 120.0  # seconds
_STOP_TIMEOUT = 30.0  # seconds


def redis_binary() -> Path:
    """The Redis server of this machine. Ends the program if there is none."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("There is no Redis server on this machine.")
    return binary


@contextlib.contextmanager
def temporary_redis() -> Iterator[tuple[RedisServer, Path]]:
    """A Redis server, and a folder for the data of one benchmark; both are removed at the end."""
    binary = redis_binary()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(binary, Path(folder) / "redis")
        server.start()
        try:
            yield server, Path(folder)
        finally:
            server.stop()


@contextlib.contextmanager
def connected(server: RedisServer, *, db: int = 0) -> Iterator[RedisClient]:
    """A client of one database of `server`."""
    settings = RedisSettings.load(url=server.url, read_timeout=30, _env_file=None)
    client = RedisClient.connect(settings, db=db)
    try:
        yield client
    finally:
        client.close()


def version_of(server: Path) -> str:
    """The version that `server --version` prints."""
    printed = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", printed.stdout)
    return found[0] if found else printed.stdout.strip()


def migrate(service: Path, variables: Mapping[str, str]) -> None:
    """Create the schema of a service."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(command, cwd=service, env={**os.environ, **variables}, check=True)


@contextlib.contextmanager
def gunicorn(
    module: str,
    variables: Mapping[str, str],
    *,
    workers: int = 1,
    directory: Path = ROOT,
    python: Path | str = sys.executable,
) -> Iterator[int]:
    """The port on which so many workers serve `module`, with the services' gunicorn settings."""
    port = free_port()
    served = serving(module, variables, port, workers=workers, directory=directory, python=python)
    with served:
        yield port


@contextlib.contextmanager
def serving(
    module: str,
    variables: Mapping[str, str],
    port: int,
    *,
    workers: int = 1,
    directory: Path = ROOT,
    python: Path | str = sys.executable,
) -> Iterator[int]:
    """The same on this port. Yields the id of gunicorn's first process."""
    settings = ["--config", str(USERMANAGEMENT / "gunicorn.conf.py"), "--workers", str(workers)]
    arguments = ["gunicorn", *settings, "--bind", f"127.0.0.1:{port}", module]
    with running(arguments, variables, directory=directory, python=python) as process:
        # gunicorn listens once it has loaded the application.
        wait_until(lambda: _listens(port, process), f"{module} did not start.")
        yield process.pid


@contextlib.contextmanager
def running(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    *,
    directory: Path = ROOT,
    python: Path | str = sys.executable,
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m` with these arguments runs during the block."""
    environment = {**os.environ, **variables}
    process = subprocess.Popen([python, "-m", *arguments], cwd=directory, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_STOP_TIMEOUT)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise SystemExit(f"{process.args!r} has exited.")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def wait_until(condition: Callable[[], bool], failure: str, *, poll_seconds: float = 0.05) -> None:
    """Wait until the condition is true. Ends the program with `failure` after two minutes."""
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(failure)
        time.sleep(poll_seconds)
