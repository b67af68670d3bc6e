"""Tasks on the running portal: a flight that sells out, a killed worker, and `make seed`."""

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.pyportal_common.testing.plugin import missing

from ..portal_api import User, wait_until
from .conftest import ROOT, Portal, running_portal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal with its default rate limits and a short lease of jobs."""
    yield from running_portal(tmp_path_factory.mktemp("portal"), JOB_LEASE_SECONDS="2")


@pytest.fixture(scope="module")
def admin(portal: Portal) -> User:
    return User.create_admin(portal)


@pytest.fixture(scope="module")
def john(portal: Portal) -> User:
    return User.register(portal, "john_doe")


def finished_tasks(user: User, flight_id: int) -> list[dict[str, Any]]:
    """All tasks that book the flight, once every task has finished."""

    def is_finished() -> bool:
        # Tasks of a worker that was killed become pending again.
        statuses = ("processing", "pending", "processing")
        return not any(user.fetch("GET", f"/tasks?status={each}")["items"] for each in statuses)

    wait_until(is_finished)
    found, page = [], user.fetch("GET", "/tasks")
    while page["next"] is not None:
        found += page["items"]
        page = user.fetch("GET", f"/tasks?cursor={page['next']}")
    tasks = found + page["items"]
    return [task for task in tasks if task["parameters"].get("flightId") == flight_id]


def test_every_seat_is_sold_once(portal: Portal, admin: User, john: User) -> None:
    flight_id = admin.add_flight("PY100", seats=100)

    with ThreadPoolExecutor(16) as clients:
        task_ids = list(clients.map(john.book, [flight_id] * 150))

    tasks = finished_tasks(john, flight_id)
    assert sorted(task["taskId"] for task in tasks) == sorted(task_ids)
    outcomes = Counter((task["status"], task["error"]) for task in tasks)
    assert outcomes == {("completed", None): 100, ("failed", "Flight PY100 is sold out"): 50}
    seats = f"select available_seats from flights where id = {flight_id}"
    assert portal.sql("taskprocessing", seats) == [(0,)]
    booked = f"select sum(seats) from bookings where flight_id = {flight_id}"
    assert portal.sql("taskprocessing", booked) == [(100,)]
    shown = john.fetch("GET", f"/flights/{flight_id}/availability")
    assert shown == {"flight_id": flight_id, "available_seats": 0}
    assert portal.redis(f"-n 1 get flight:availability:{flight_id}") == "0"


def kill_while_processing(portal: Portal, pid: int) -> set[int]:
    """Send SIGKILL to the worker while it runs tasks. Returns their ids."""
    killed: set[int] = set()

    def is_killed() -> bool:
        os.kill(pid, signal.SIGSTOP)  # its tasks stay `processing` while we look
        found = portal.sql("taskprocessing", "select id from tasks where status = 'processing'")
        os.kill(pid, signal.SIGKILL if found else signal.SIGCONT)
        killed.update(task_id for (task_id,) in found)
        return bool(found)

    wait_until(is_killed, seconds=20)
    return killed


def test_a_killed_worker_loses_no_booking_and_repeats_none(
    portal: Portal, admin: User, john: User
) -> None:
    flight_id = admin.add_flight("PY200", seats=200)
    worker = portal.pid_of("app.worker", service="taskprocessing")

    with ThreadPoolExecutor(8) as clients:
        booked = clients.map(john.book, [flight_id] * 120)
        killed = kill_while_processing(portal, worker)
        task_ids = list(booked)

    tasks = {task["taskId"]: task for task in finished_tasks(john, flight_id)}
    assert portal.pid_of("app.worker", service="taskprocessing") != worker
    assert sorted(tasks) == sorted(task_ids)
    assert {task["status"] for task in tasks.values()} == {"completed"}
    assert killed <= tasks.keys()
    assert min(tasks[task_id]["attempts"] for task_id in killed) > 1
    assert john.seats_left(flight_id) == 80


def test_seed_fills_the_portal_once_and_its_examples_work(portal: Portal) -> None:
    first, second = portal.make("seed"), portal.make("seed")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.startswith("Admin: admin, with the password ")
    assert "failed: Flight PY310 has " in first.stdout
    assert first.stdout.count("completed") == 5
    assert f"are files in {portal.data_dir / 'mail'}\n" in first.stdout
    contents, _, examples = first.stdout.partition("Try it:")
    assert second.stdout.partition("Try it:")[0] == contents.partition("\n")[2]

    curl = shutil.which("curl") or missing("curl")
    output = subprocess.run(
        ["sh", "-c", examples.replace("  curl ", f"{curl} -sS ")],
        cwd=ROOT,
        env=portal.environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "an export" not in output
    assert output.count('"items":[{') == 1
    assert '"task":{' in output
    assert re.search(r"^\d+$", output.strip().splitlines()[-1])


def test_seed_fails_with_a_message_without_a_portal(portal: Portal) -> None:
    done = portal.make("seed", USERMANAGEMENT_PORT="1")

    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "Nothing listens on port 1: start the portal with `make run`."
    )
