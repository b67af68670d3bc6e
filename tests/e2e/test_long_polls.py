"""A request that waits is answered when its service stops."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisSettings, SessionStore, get_redis_client
from common.pyportal_common.redis_server import RedisServer, free_port

from ..portal_api import wait_until
from .conftest import ROOT

pytestmark = pytest.mark.slow

TASKPROCESSING = ROOT / "taskprocessing-service"
TASKS = "/api/v1/airliner/tasks"
PROCESSES = 2
PLACES = 2  # of each process
REQUESTS = 2 * PROCESSES * PLACES


class Service:
    """Task Processing under gunicorn, without a worker: its tasks wait."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        url = f"sqlite:///{folder / 'tasks.sqlite3'}"
        variables = {**os.environ, "DATABASE_URL": url, "REDIS_URL": redis.url}
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
            cwd=TASKPROCESSING,
            env=variables,
            check=True,
            capture_output=True,
        )
        settings = RedisSettings.load(url=redis.url, _env_file=None)
        store = SessionStore(get_redis_client(0, settings=settings))
        session_id = store.create(7, {"role": "user"}).session_id
        self._headers = {"Authorization": f"Bearer {session_id}"}
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "wsgi"],
            cwd=TASKPROCESSING,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._responds, 20)

    def call(
        self, method: str, path: str, *, body: object = None, **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        """The response to a request on a connection of its own."""
        with ExitStack() as stack:
            response = self.send(method, path, stack, body=body, **headers).getresponse()
            return response, response.read()

    def send(
        self, method: str, path: str, stack: ExitStack, *, body: object = None, **headers: str
    ) -> HTTPConnection:
        """A connection with a request, which `stack` closes."""
        sent = {**self._headers, "Content-Type": "application/json", **headers}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        stack.callback(connection.close)
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        return connection

    def create(self) -> str:
        """The path of a new task."""
        body = {"taskType": "data_export", "parameters": {}}
        response, _ = self.call("POST", TASKS, body=body)
        return str(response.headers["Location"])

    def in_progress(self) -> int:
        """How many requests are in progress, besides this one."""
        text = self.call("GET", "/metrics")[1].decode()
        found = re.search(r"^http_requests_in_progress ([0-9.]+)", text, re.MULTILINE)
        assert found is not None
        return int(float(found[1])) - 1

    def _responds(self) -> bool:
        try:
            return self.call("GET", "/livez")[0].status == 200
        except OSError:
            return False


@pytest.fixture
def service(tmp_path: Path, redis_server: RedisServer) -> Iterator[Service]:
    service = Service(tmp_path, redis_server)
    yield service
    service.process.kill()
    service.process.wait(10)


def waiting_requests(
    service: Service, path: str, pool: ThreadPoolExecutor
) -> tuple[list[Future[tuple[HTTPResponse, bytes]]], int]:
    """Requests that prefer to wait, and how many of them do: the others have been answered."""
    responses = [pool.submit(service.call, "GET", path, Prefer="wait=20") for _ in range(REQUESTS)]

    def are_settled() -> bool:
        waiting = sum(not each.done() for each in responses)
        return waiting <= PROCESSES * PLACES and service.in_progress() == waiting

    wait_until(are_settled, 15)
    return responses, sum(not each.done() for each in responses)


def test_waiting_requests_are_answered_when_the_service_stops(service: Service) -> None:
    path = service.create()
    with ThreadPoolExecutor(REQUESTS) as pool:
        responses, waiting = waiting_requests(service, path, pool)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(15)
        took = time.monotonic() - began

    assert 0 < waiting <= PROCESSES * PLACES
    for response, body in (each.result() for each in responses):
        assert response.status == 200
        assert json.loads(body)["task"]["status"] == "pending"
        assert response.headers["Retry-After"] == "1"
        assert "Preference-Applied" not in response.headers
    assert took < 10


def test_clients_that_go_away_leave_their_places(service: Service) -> None:
    path = service.create()
    with ExitStack() as clients:
        for _ in range(REQUESTS):
            service.send("GET", path, clients, Prefer="wait=20")
        wait_until(lambda: service.in_progress() > 0, 15)

    began = time.monotonic()
    wait_until(lambda: service.in_progress() == 0, 15)
    assert time.monotonic() - began < 10


def test_cancellation_in_one_process_answers_a_request_of_another(service: Service) -> None:
    path = service.create()
    with ThreadPoolExecutor(REQUESTS) as pool:
        responses, waiting = waiting_requests(service, path, pool)
        began = time.monotonic()
        service.call("POST", f"{path}/cancel")
        statuses = [json.loads(each.result(25)[1])["task"]["status"] for each in responses]
        took = time.monotonic() - began

    assert statuses.count("cancelled") == waiting > 0
    assert took < 10
