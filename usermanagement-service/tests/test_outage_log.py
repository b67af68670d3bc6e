"""What the web processes of the service write to the log in an outage of Redis."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.kit import API

from .conftest import CREDENTIALS, JOHN, LOGIN, REGISTER

FOLDER = Path(__file__).parent.parent
PROCESSES = 2
REQUEST = re.compile(r"INFO \S+\.web\.tracing ")


class Web:
    """The service under gunicorn, with two processes, and its log."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._log = log
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "wsgi"],
                cwd=FOLDER,
                env={**os.environ, **environment},
                stdout=file,
                stderr=file,
            )

    def call(self, method: str, path: str, body: Any = None, session: str = "") -> Any:
        """The status and the body of a response; None if there is none."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {session}"}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def lines(self) -> list[str]:
        """The log without the lines about requests."""
        lines = self._log.read_text("utf-8").splitlines()
        return [line for line in lines if not REQUEST.search(line)]

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + 30
        while self.call("GET", "/livez") is None and time.monotonic() < deadline:
            time.sleep(0.1)

    def close(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(15)


@pytest.fixture(params=["one server", "sessions apart"])
def are_sessions_apart(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "sessions apart")


@pytest.fixture
def web(
    own_redis: RedisServer,
    redis_server: RedisServer,
    are_sessions_apart: bool,
    as_service: Callable[[str], str],
    database_url: str,
    tmp_path: Path,
) -> Iterator[Web]:
    """The service on a server that the test may pause."""
    environment = {
        "REDIS_URL": as_service(own_redis.url),
        "SESSION_REDIS_URL": as_service((redis_server if are_sessions_apart else own_redis).url),
        "DATABASE_URL": database_url,
        "RATE_LIMIT_REGISTER": "100000/60",
        "RATE_LIMIT_LOGIN": "100000/60",
        "DATA_DIR": str(tmp_path),
    }
    web = Web(tmp_path / "log", environment)
    web.wait_until_ready()
    yield web
    web.close()


@contextmanager
def load_on(web: Web) -> Iterator[list[tuple[str, int]]]:
    """Requests of several kinds from several threads. Yields the methods and statuses."""
    _, registered = web.call("POST", REGISTER, JOHN)
    _, login = web.call("POST", LOGIN, CREDENTIALS)
    user, session = f"{API}/users/{registered['user']['id']}", login["session_id"]
    calls: list[tuple[Any, ...]] = [
        ("GET", user, None, session),
        ("PATCH", user, {"firstName": "Johnny"}, session),
        ("GET", f"{API}/sessions", None, session),
        ("POST", LOGIN, {**CREDENTIALS, "password": "not-the-right-one"}, ""),
        ("GET", "/health"),
    ]
    statuses: list[tuple[str, int]] = []
    stop = threading.Event()

    def use(call: tuple[Any, ...]) -> None:
        while not stop.wait(0.02):
            response = web.call(*call)
            statuses.append((call[0], response[0] if response else 0))

    threads = [threading.Thread(target=use, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("seconds", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_an_outage_is_two_lines_a_process(
    seconds: int, web: Web, own_redis: RedisServer, are_sessions_apart: bool
) -> None:
    with load_on(web) as statuses:
        time.sleep(1)
        before = len(web.lines())

        own_redis.pause()
        time.sleep(seconds)
        own_redis.resume()
        time.sleep(2)

    lines = web.lines()[before:]
    print(f"{len(lines)} lines of {PROCESSES} processes in an outage of {seconds} s")
    failures = {status for _, status in statuses if status >= 500}
    writes = {status for method, status in statuses if method == "PATCH"}
    assert failures == (set() if are_sessions_apart else {503})
    assert writes == {200} | failures
    assert PROCESSES <= len(lines) <= PROCESSES * 2 * 3, lines  # two changes, three lines each
    assert all("Redis" in line for line in lines), lines


def test_a_redis_that_cannot_work_is_logged_as_soon_as_the_service_starts(
    start_redis: Any, database_url: str, tmp_path: Path
) -> None:
    """Before any request."""
    server = start_redis(databases="1")
    environment = {
        "REDIS_URL": f"{server.url}/5",
        "DATABASE_URL": database_url,
        "DATA_DIR": str(tmp_path),
    }
    web = Web(tmp_path / "log", environment)
    deadline = time.monotonic() + 30
    while not _about_databases(web) and time.monotonic() < deadline:
        time.sleep(0.1)

    try:
        assert 1 <= len(_about_databases(web)) <= PROCESSES
        assert web.call("GET", "/health")[1]["status"] == "degraded"
    finally:
        web.close()
    assert len(_about_databases(web)) == PROCESSES
    assert "Traceback" not in "\n".join(web.lines())


def _about_databases(web: Web) -> list[str]:
    return [line for line in web.lines() if "set `databases 16`" in line]
