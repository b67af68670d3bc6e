"""Somebody who books, for the tests of tasks in containers."""

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

from .conftest import API, PASSWORD, ROOT, Compose, wait_until


class Desk:
    """A flight of a hundred seats, and what a user can do about it over HTTP."""

    def __init__(self, compose: Compose, flight_number: str) -> None:
        self._compose = compose
        self._session_id = admin(compose)
        flight = {
            "flightNumber": flight_number,
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2100-01-31T09:30:00Z",
            "totalSeats": 100,
        }
        self.flight_id = self._ask("POST", "/flights", flight)["flight"]["flightId"]

    def book(self, seats: int, session_id: str | None = None) -> int:
        """Want seats, as the admin unless it is somebody else's session; the task's id."""
        parameters = {"flightId": self.flight_id, "seats": seats}
        wanted = {"taskType": "flight_booking", "parameters": parameters}
        return int(self._ask("POST", "/tasks", wanted, session_id)["task"]["taskId"])

    def task(self, task_id: int) -> dict[str, Any]:
        """The task as it is now."""
        return dict(self._ask("GET", f"/tasks/{task_id}")["task"])

    def seats_left(self) -> int:
        """By the API."""
        return int(self._ask("GET", f"/flights/{self.flight_id}/availability")["available_seats"])

    def wait_for(self, status: str, task_ids: list[int]) -> None:
        """Return when all of the tasks are in that state."""
        wait_until(lambda: all(self.task(task_id)["status"] == status for task_id in task_ids))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile somebody has the flight's row locked: no booking of it can end."""
        held = subprocess.Popen(
            ["docker", "compose", "exec", "-T", "-e", "PGPASSWORD=development", "db",
             "psql", "-qtA", "-h", "127.0.0.1", "-U", "tasks", "tasks"],
            cwd=ROOT,
            env=self._compose.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert held.stdin is not None
        assert held.stdout is not None
        with held:
            lock = f"begin; select id from flights where id = {self.flight_id} for update;\n"
            held.stdin.write(lock)
            held.stdin.flush()
            assert held.stdout.readline().strip() == str(self.flight_id)
            yield

    def _ask(self, method: str, path: str, body: Any = None, session_id: str | None = None) -> Any:
        status, answer, _ = self._compose.request(
            method,
            f"{API}{path}",
            body,
            port=self._compose.tasks_port,
            session_id=session_id or self._session_id,
        )
        assert 200 <= status < 300, answer
        return answer


def admin(compose: Compose) -> str:
    """A session of an admin, who may be there already."""
    compose(
        "exec", "-T", "-e", f"ADMIN_PASSWORD={PASSWORD}", "usermanagement-service",
        "flask", "--app", "wsgi", "users", "create-admin",
        "--username", "boss", "--email", "boss@example.com",
        check=False,
    )  # fmt: skip
    return str(compose.login("boss")[1]["session_id"])
