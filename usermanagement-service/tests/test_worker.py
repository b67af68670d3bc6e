"""The worker process as it is started: `python -m app.worker`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.kit import json_of

from .conftest import FORGOT, JOHN, MakeApp, Receiver, messages_in, register, services_of

SERVICE = Path(__file__).parent.parent
StartWorker = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(
    make_app: MakeApp,  # noqa: ARG001  it sets REDIS_URL
    as_service: Callable[[str], str],
    migrated_url: str,
    tmp_path: Path,
) -> Iterator[StartWorker]:
    """Starts workers, beside the service."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        variables = {
            "DATABASE_URL": migrated_url,
            "REDIS_URL": as_service(os.environ["REDIS_URL"]),
            "JOB_LEASE_SECONDS": "1",
            "WORKER_SILENT_SECONDS": "3",
            "PYTHONPATH": f"{SERVICE.parent}:{SERVICE}",
        }
        command = [sys.executable, "-m", "app.worker"]
        started.append(subprocess.Popen(command, cwd=tmp_path, env=os.environ | variables))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after some seconds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_delivers_messages_until_sigterm(
    receiver: Receiver, make_app: MakeApp, start_worker: StartWorker
) -> None:
    client = make_app().test_client()
    worker = start_worker()

    register(client)
    client.post(FORGOT, json={"email": JOHN["email"]})
    client.post(FORGOT, json={"email": "nobody@example.com"})
    wait_until(lambda: len(receiver.bodies) == 2)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    assert {body["template"] for body in receiver.bodies} == {"welcome", "password_reset"}


def test_the_message_of_a_killed_worker_is_delivered_again_with_the_same_key(
    receiver: Receiver, make_app: MakeApp, start_worker: StartWorker
) -> None:
    app = make_app()
    worker = start_worker()
    receiver.before_response = worker.kill

    register(app.test_client())
    wait_until(lambda: worker.poll() is not None)
    receiver.before_response = lambda: None
    start_worker()
    wait_until(lambda: len(receiver.bodies) == 2)

    first, second = receiver.headers
    assert first["Idempotency-Key"] == second["Idempotency-Key"]
    assert receiver.bodies[0] == receiver.bodies[1]
    wait_until(lambda: [each.status for each in messages_in(services_of(app))] == ["completed"])


def health_is(client: FlaskClient, status: str, workers: str) -> Callable[[], bool]:
    """Whether /health says so now."""

    def now() -> bool:
        health = json_of(client.get("/health"))
        return (health["status"], health["checks"]["workers"]) == (status, workers)

    return now


@pytest.fixture
def watching(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of a service that misses a worker after three seconds."""
    monkeypatch.setenv("WORKER_SILENT_SECONDS", "3")
    return make_app().test_client()


def test_health_is_degraded_while_a_worker_is_stopped_and_ok_when_it_continues(
    watching: FlaskClient, start_worker: StartWorker
) -> None:
    assert health_is(watching, "degraded", "none")()
    worker = start_worker()
    wait_until(health_is(watching, "ok", "ok"))

    worker.send_signal(signal.SIGSTOP)
    wait_until(health_is(watching, "degraded", "silent"))
    assert "\njob_workers_silent 1.0\n" in watching.get("/metrics").text

    worker.send_signal(signal.SIGCONT)
    wait_until(health_is(watching, "ok", "ok"))

    worker.terminate()
    assert worker.wait(30) == 0
    wait_until(health_is(watching, "degraded", "none"))


@pytest.mark.slow
def test_health_is_degraded_after_a_worker_was_killed_until_another_has_started(
    watching: FlaskClient, start_worker: StartWorker
) -> None:
    worker = start_worker()
    wait_until(health_is(watching, "ok", "ok"))

    worker.kill()
    worker.wait(10)
    wait_until(health_is(watching, "degraded", "silent"))

    start_worker()
    wait_until(health_is(watching, "ok", "ok"))
