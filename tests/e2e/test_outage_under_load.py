"""Readers are served while writers wait for an outage of the cache's Redis."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import RedisServer, free_port
from local.client import API

from ..portal_api import PASSWORD, registration, wait_until
from .conftest import ROOT, UNLIMITED

pytestmark = pytest.mark.slow

READERS, WRITERS = 100, 20
THINK_SECONDS = 0.5  # a reader's pause between two requests
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "10"))


class Client:
    """A connection that is kept alive, with a session."""

    def __init__(self, port: int, session_id: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Content-Type": "application/json"}
        if session_id:
            self._headers["Authorization"] = f"Bearer {session_id}"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the body of the response."""
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, self._headers)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read() or "null")


@pytest.fixture
def service(
    own_redis: RedisServer, start_redis: Callable[..., RedisServer], tmp_path: Path
) -> Iterator[int]:
    """The port of User Management, whose sessions are on another server than `own_redis`."""
    port = free_port()
    environment = {
        **os.environ,
        **UNLIMITED,
        "DATA_DIR": str(tmp_path),
        "REDIS_URL": own_redis.url,
        "SESSION_REDIS_URL": start_redis().url,
    }
    folder = ROOT / "usermanagement-service"
    flask = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(flask, cwd=folder, env=environment, check=True, capture_output=True)
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "wsgi"]
    process = subprocess.Popen(
        gunicorn, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: _answers(port), 20)
    yield port
    process.terminate()
    process.wait(20)


def _answers(port: int) -> bool:
    with closing(Client(port)) as client, suppress(OSError):
        return client.send("GET", "/livez")[0] == 200
    return False


def test_readers_are_served_while_writers_wait(service: int, own_redis: RedisServer) -> None:
    with closing(Client(service)) as client:
        user = client.send("POST", f"{API}/registerUser", registration("john"))[1]["user"]
        credentials = {"username": "john", "password": PASSWORD}
        session_id = client.send("POST", f"{API}/login", credentials)[1]["session_id"]
    path = f"{API}/users/{user['id']}"
    is_over = threading.Event()
    reads: list[tuple[float, int]] = []  # seconds, status
    writes: Counter[int] = Counter()

    def read() -> None:
        with closing(Client(service, session_id)) as reader:
            while not is_over.is_set():
                started = time.monotonic()
                status, _ = reader.send("GET", path)
                reads.append((time.monotonic() - started, status))
                is_over.wait(THINK_SECONDS)

    def write() -> None:
        with closing(Client(service, session_id)) as writer:
            while not is_over.is_set():
                status, _ = writer.send("PATCH", path, {"firstName": "Johnny"})
                writes[status] += 1
                if status == 503:
                    is_over.wait(THINK_SECONDS)

    own_redis.kill()
    with ThreadPoolExecutor(READERS + WRITERS) as threads:
        futures = [threads.submit(read) for _ in range(READERS)]
        futures += [threads.submit(write) for _ in range(WRITERS)]
        is_over.wait(OUTAGE_SECONDS)
        is_over.set()
        for future in futures:
            future.result()

    times = sorted(seconds for seconds, _ in reads)
    percentiles = {share: times[int(len(times) * share / 100)] for share in (50, 95, 99)}
    print(f"{len(reads)} reads, seconds by percentile: {percentiles}; writes: {dict(writes)}")
    assert {status for _, status in reads} == {200}
    assert set(writes) == {200, 503}
    assert percentiles[95] < 1  # a reader behind a writer would wait for two seconds
