"""A worker process: what it logs while Redis or SQL is away."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import func, make_url, select

from app.models import Task
from app.services import Services
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.relay import SwitchedRelay

from .conftest import EXPORT

pytestmark = pytest.mark.slow

_PER_CHANGE = 3  # lines
_FOLDER = Path(__file__).parents[1]


class _Receiver(BaseHTTPRequestHandler):
    """Notification: it accepts every message."""

    def do_POST(self) -> None:
        """Accept a message, or many."""
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"items": [{"status": 202} for _ in content.get("items", ())]})
        self.send_response(200 if "items" in content else 202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class Worker:
    """A worker process with two threads, and its log."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self._log = folder / "worker.log"
        self._before = 0
        environment = {**os.environ, "WORKER_THREADS": "2", "JOB_LEASE_SECONDS": "2", **variables}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.worker"],
                cwd=_FOLDER,
                env={**environment, "PYTHONPATH": f"{_FOLDER}:{_FOLDER.parent}"},
                stdout=log,
                stderr=log,
            )

    def new_lines(self) -> list[str]:
        """The lines since the last call."""
        lines = self._log.read_text().splitlines()
        new, self._before = lines[self._before :], len(lines)
        return new


class Load:
    """Creates tasks all the time, past the service: a database without a cache."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Create no more."""
        self._closing.set()
        self._thread.join()

    def left(self) -> int:
        """How many tasks have not ended."""
        with self._services.database.read() as tx:
            return tx.scalar(select(func.count()).where(Task.finished_at.is_(None))) or 0

    def _run(self) -> None:
        number = 0
        while not self._closing.wait(0.1):
            number += 1
            task = Task(
                reference=f"T{number}",
                user_id=number % 10 + 1,
                task_type=EXPORT["taskType"],
                parameters={},
                priority="normal",
            )
            with self._services.database.begin(changes_cached=False) as tx:
                self._services.jobs.put(tx, task)


@pytest.fixture
def load(services: Services) -> Iterator[Load]:
    load = Load(services)
    yield load
    load.close()


@pytest.fixture
def start(tmp_path: Path, as_service: Callable[[str], str]) -> Iterator[Callable[..., Worker]]:
    """Starts a worker: start(REDIS_URL=url, DATABASE_URL=url)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    started: list[Worker] = []

    def start(**variables: str) -> Worker:
        variables["REDIS_URL"] = as_service(variables["REDIS_URL"])
        url = f"http://127.0.0.1:{server.server_port}"
        started.append(Worker(tmp_path, NOTIFICATION_URL=url, **variables))
        return started[-1]

    yield start
    for worker in started:
        worker.process.kill()
        worker.process.wait()
    server.shutdown()
    server.server_close()


@pytest.fixture
def relay_to() -> Iterator[Callable[[int], SwitchedRelay]]:
    """Starts a relay to a server's port."""
    with ExitStack() as relays:
        yield lambda port: relays.enter_context(closing(SwitchedRelay(port)))


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def has_caught_up(load: Load) -> Callable[[], bool]:
    return lambda: load.left() < 5


def check(lines: list[str]) -> None:
    assert len(lines) <= _PER_CHANGE, "\n".join(lines)


@pytest.mark.parametrize("seconds", [3, 15])
def test_an_outage_of_redis_is_logged_in_few_lines(
    start: Callable[..., Worker],
    load: Load,
    own_redis: RedisServer,
    database_url: str,
    seconds: float,
) -> None:
    worker = start(REDIS_URL=own_redis.url, DATABASE_URL=database_url)
    wait_until(lambda: any("The worker runs" in line for line in worker.new_lines()))
    wait_until(has_caught_up(load))
    worker.new_lines()

    own_redis.kill()
    threading.Event().wait(seconds)
    wait_until(has_caught_up(load))  # tasks run on
    check(worker.new_lines())

    own_redis.start()
    threading.Event().wait(4)
    check(worker.new_lines())


@pytest.mark.parametrize("seconds", [3, 15])
@pytest.mark.parametrize("state", ["held", "refused"])
def test_an_outage_of_sql_is_logged_in_few_lines(
    start: Callable[..., Worker],
    load: Load,
    own_redis: RedisServer,
    relay_to: Callable[[int], SwitchedRelay],
    sql_kind: str,
    database_url: str,
    state: Literal["held", "refused"],
    seconds: float,
) -> None:
    if sql_kind == "sqlite":
        pytest.skip("SQLite has no connections that can be cut")
    url = make_url(database_url)
    relay = relay_to(url.port or 0)
    through_relay = url.set(port=relay.port).render_as_string(hide_password=False)
    worker = start(REDIS_URL=own_redis.url, DATABASE_URL=through_relay)
    wait_until(lambda: any("The worker runs" in line for line in worker.new_lines()))
    wait_until(has_caught_up(load))
    worker.new_lines()

    relay.state = state
    threading.Event().wait(seconds)
    check(worker.new_lines())

    relay.state = "open"
    wait_until(has_caught_up(load))
    threading.Event().wait(4)
    check(worker.new_lines())
