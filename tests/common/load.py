"""What the load programs of these tests share, and how tests start them."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings

Connect = Callable[..., RedisClient]  # the fixture `connect`

ROOT = Path(__file__).parent.parent.parent


def start(program: str, *arguments: int | str) -> "subprocess.Popen[str]":
    """Start a program of this package."""
    command = [sys.executable, "-m", f"tests.common.{program}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def connect(port: int, *, db: int = 0, connections: int = 64) -> RedisClient:
    """A client that waits long for a busy server."""
    settings = RedisSettings.load(
        url=f"redis://127.0.0.1:{port}",
        connect_timeout=20,
        read_timeout=20,
        pool_timeout=20,
        max_connections=connections,
        _env_file=None,
    )
    return RedisClient.connect(settings, db=db)


def await_start(client: RedisClient) -> None:
    """Report that this process is ready, and wait until the key `go` exists."""
    client.execute("INCR", "ready")
    while client.get("go") is None:
        time.sleep(0.01)


def run_threads(targets: Sequence[Callable[[], object]]) -> None:
    """Run each target in a thread and wait for all."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
