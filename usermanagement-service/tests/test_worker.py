"""The process that sees to events, as it is started: `python -m app.worker`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from .conftest import API, JOHN, REGISTER, Receiver, messages_in, mine_of

SERVICE = Path(__file__).parent.parent


@pytest.fixture
def start_worker(
    make_app: MakeApp,  # noqa: ARG001  it says where Redis is
    migrated_url: str,
    tmp_path: Path,
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts workers, beside the service."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        variables = {
            "DATABASE_URL": migrated_url,
            "JOB_LEASE_SECONDS": "1",
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
    """Return when it holds; fail when it does not within some seconds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_posts_mails_and_looks_up_forgotten_passwords_until_sigterm(
    receiver: Receiver,
    make_app: MakeApp,
    start_worker: Callable[[], subprocess.Popen[bytes]],
) -> None:
    client = make_app().test_client()
    worker = start_worker()

    client.post(REGISTER, json=JOHN)
    client.post(f"{API}/password/forgot", json={"email": JOHN["email"]})
    client.post(f"{API}/password/forgot", json={"email": "nobody@example.com"})
    wait_until(lambda: len(receiver.bodies) == 2)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    assert {body["template"] for body in receiver.bodies} == {"welcome", "password_reset"}


def test_what_one_was_at_when_it_was_killed_is_posted_by_the_next_with_the_same_key(
    receiver: Receiver,
    make_app: MakeApp,
    start_worker: Callable[[], subprocess.Popen[bytes]],
) -> None:
    app = make_app()
    worker = start_worker()
    receiver.meanwhile = worker.kill  # the response reaches nobody

    app.test_client().post(REGISTER, json=JOHN)
    wait_until(lambda: worker.poll() is not None)
    receiver.meanwhile = lambda: None
    start_worker()
    wait_until(lambda: len(receiver.bodies) == 2)

    first, second = receiver.headers
    assert first["Idempotency-Key"] == second["Idempotency-Key"]
    assert receiver.bodies[0] == receiver.bodies[1]
    wait_until(lambda: [event.status for event in messages_in(services_of(app))] == ["completed"])
