"""Tasks on the running portal: a flight that sells out, a worker that is killed, and make seed."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.pyportal_common.testing.plugin import missing

from .conftest import ROOT, Portal, running, user, wait_until

API = "/api/v1/airliner"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal with its own limits, that misses its worker soon."""
    yield from running(tmp_path_factory.mktemp("portal"), JOB_LEASE_SECONDS="2")


class Client:
    """Somebody who is logged in, at Task Processing."""

    def __init__(self, portal: Portal, name: str) -> None:
        self._portal = portal
        login = {"username": name, "password": user(name)["password"]}
        session_id = portal.request("POST", f"{API}/login", login).body["session_id"]
        self._headers = {"Authorization": f"Bearer {session_id}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The body of the answer, which has to be a good one."""
        answer = self._portal.request(
            method, f"{API}{path}", body, service="taskprocessing", **self._headers
        )
        assert 200 <= answer.status < 300, answer.body
        return answer.body

    def add_flight(self, flight_number: str, seats: int) -> int:
        """As an admin may; the flight's id."""
        flight = {
            "flightNumber": flight_number,
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2100-01-31T09:30:00Z",
            "totalSeats": seats,
        }
        return int(self.ask("POST", "/flights", flight)["flight"]["flightId"])

    def book(self, flight_id: int) -> int:
        """Want one seat; the task's id."""
        parameters = {"flightId": flight_id, "seats": 1}
        wanted = {"taskType": "flight_booking", "parameters": parameters}
        return int(self.ask("POST", "/tasks", wanted)["task"]["taskId"])

    def tasks(self, flight_id: int) -> list[dict[str, Any]]:
        """All tasks that were to book it, when they have ended."""
        for status in ("pending", "processing"):
            wait_until(lambda: not self.ask("GET", f"/tasks?status={status}")["items"], 30)  # noqa: B023
        found, page = [], self.ask("GET", "/tasks")
        while True:
            found += page["items"]
            if page["next"] is None:
                return [task for task in found if task["parameters"].get("flightId") == flight_id]
            page = self.ask("GET", f"/tasks?cursor={page['next']}")


@pytest.fixture(scope="module")
def admin(portal: Portal) -> Client:
    made = portal.make(
        "flask",
        service="usermanagement",
        args="users create-admin --username boss --email boss@example.com",
        ADMIN_PASSWORD=user("boss")["password"],
    )
    assert made.returncode == 0, made.stderr
    return Client(portal, "boss")


@pytest.fixture(scope="module")
def john(portal: Portal) -> Client:
    portal.register("john_doe")
    return Client(portal, "john_doe")


def sql(portal: Portal, query: str) -> list[Any]:
    """What the database of Task Processing holds, read beside the service."""
    file = portal.data_dir / "taskprocessing.sqlite3"
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def test_the_last_seat_is_sold_and_none_after_it(
    portal: Portal, admin: Client, john: Client
) -> None:
    flight_id = admin.add_flight("PY100", seats=100)

    with ThreadPoolExecutor(16) as clients:
        task_ids = list(clients.map(john.book, [flight_id] * 150))

    tasks = john.tasks(flight_id)
    assert sorted(task["taskId"] for task in tasks) == sorted(task_ids)
    outcomes = Counter((task["status"], task["error"]) for task in tasks)
    assert outcomes == {("completed", None): 100, ("failed", "Flight PY100 is sold out"): 50}
    seats = f"select available_seats from flights where id = {flight_id}"
    assert sql(portal, seats) == [(0,)]
    assert sql(portal, f"select sum(seats) from bookings where flight_id = {flight_id}") == [(100,)]
    shown = john.ask("GET", f"/flights/{flight_id}/availability")
    assert shown == {"flight_id": flight_id, "available_seats": 0}
    assert portal.redis(f"-n 1 get flight:availability:{flight_id}") == "0"


def kill_at_work(portal: Portal, pid: int) -> set[int]:
    """SIGKILL to the worker while it is in the middle of tasks; their ids."""
    killed: set[int] = set()

    def at_work() -> bool:
        os.kill(pid, signal.SIGSTOP)  # what it does now, it goes on doing until somebody has looked
        found = sql(portal, "select id from tasks where status = 'processing'")
        os.kill(pid, signal.SIGKILL if found else signal.SIGCONT)
        killed.update(task_id for (task_id,) in found)
        return bool(found)

    wait_until(at_work, seconds=20)
    return killed


def test_a_worker_that_is_killed_loses_no_booking_and_makes_none_twice(
    portal: Portal, admin: Client, john: Client
) -> None:
    flight_id = admin.add_flight("PY200", seats=200)
    worker = portal.pid_of("app.worker", service="taskprocessing")

    with ThreadPoolExecutor(8) as clients:
        booked = clients.map(john.book, [flight_id] * 120)
        killed = kill_at_work(portal, worker)
        task_ids = list(booked)

    tasks = {task["taskId"]: task for task in john.tasks(flight_id)}
    assert portal.pid_of("app.worker", service="taskprocessing") != worker
    assert sorted(tasks) == sorted(task_ids)
    assert {task["status"] for task in tasks.values()} == {"completed"}
    assert killed <= tasks.keys()
    assert min(tasks[task_id]["attempts"] for task_id in killed) > 1
    assert john.ask("GET", f"/flights/{flight_id}/availability")["available_seats"] == 80


def test_seed_fills_the_portal_once_and_what_it_says_to_try_works(portal: Portal) -> None:
    first, second = portal.make("seed"), portal.make("seed")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.startswith("Admin: admin, with the password ")
    assert "failed: Flight PY310 has " in first.stdout
    assert first.stdout.count("completed") == 5
    assert f"are files: {portal.data_dir / 'mail'}\n" in first.stdout
    filled, _, commands = first.stdout.partition("Try it:")
    assert second.stdout.partition("Try it:")[0] == filled.partition("\n")[2]

    curl = shutil.which("curl") or missing("curl")
    said = subprocess.run(
        ["sh", "-c", commands.replace("  curl ", f"{curl} -sS ")],
        cwd=ROOT,
        env=portal.environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "an export" not in said
    assert said.count('"items":[{') == 1
    assert '"task":{' in said
    assert re.search(r"^\d+$", said.strip().splitlines()[-1])


def test_seed_says_so_where_there_is_no_portal(portal: Portal) -> None:
    environment = portal.environment | {"USERMANAGEMENT_PORT": "1"}

    answer = subprocess.run(
        [shutil.which("make") or missing("make"), "--silent", "seed"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode != 0
    assert answer.stderr.splitlines()[0] == (
        "Nothing listens on port 1: start the portal with `make run`."
    )
