"""The store as a running server, and clients of it."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.pyportal_common.redis_server import RedisServer, free_port

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".venv" / "peers" / "bin" / "python"
TIMEOUTS = "?socket_timeout=0.5&socket_connect_timeout=0.25"

PATIENCE = 10.0  # seconds: how long a client waits for an answer
_START_SECONDS = 30.0
_GUNICORN = (
    *("gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "20"),
    *("--graceful-timeout", "1", "--no-control-socket", "--log-level", "critical"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of a response, None if there was none in time, and how many seconds it took."""

    status: int | None
    seconds: float
    body: Any = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """A version of the store that runs on this port, with this server behind it."""

    port: int
    redis: RedisServer
    folder: Path
    threads: ThreadPoolExecutor

    def request(
        self, method: str, path: str, body: Any = None, *, session_id: str | None = None
    ) -> Answer:
        """Send a request on a new connection."""
        headers = {"Content-Type": "application/json"}
        if session_id:
            headers["Cookie"] = f"session={session_id}"
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read()
        except OSError:
            return Answer(None, time.monotonic() - began)
        finally:
            connection.close()
        cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
        return Answer(
            response.status,
            time.monotonic() - began,
            json.loads(text) if response.getheader("Content-Type") == "application/json" else None,
            cookie.partition("=")[2] or None,
        )

    def begin(self, *args: Any, **kwargs: Any) -> "Future[Answer]":
        """Send a request in another thread."""
        return self.threads.submit(self.request, *args, **kwargs)


@contextmanager
def running_store(
    version: str, redis: RedisServer, folder: Path, *, redis_url: str = ""
) -> Iterator[Store]:
    """The store runs in two processes during the block."""
    port = free_port()
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'common'}",
        "REDIS_URL": redis_url or redis.url,
    }
    if version == "tuned":
        environment["REDIS_URL"] += TIMEOUTS
    python = sys.executable if version == "portal" else str(PEERS)
    process = subprocess.Popen(
        [python, "-m", *_GUNICORN, "--bind", f"127.0.0.1:{port}", f"examples.store.{version}:app"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with ThreadPoolExecutor(64) as threads:
        store = Store(port, redis, folder, threads)
        try:
            until(lambda: store.request("GET", "/nothing").status == 404)
            yield store
        finally:
            process.terminate()
            process.wait(_START_SECONDS)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it. Ends the program after half a minute."""
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The store did not come so far in time.")
        time.sleep(0.02)


def at_once(store: Store, number: int, method: str, path: str) -> list[Answer]:
    """Send so many requests together, in 32 threads."""
    with ThreadPoolExecutor(min(number, 32)) as threads:
        return list(threads.map(lambda _: store.request(method, path), range(number)))
