"""Clients of a running portal, for the tests of `make run` and of docker-compose.yml."""

import contextlib
import http.client
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from local.client import API, ApiResponse, send

from .mails import Mail

REGISTER = f"{API}/registerUser"
PASSWORD = "correct-horse-battery"
PORTS = {"usermanagement": 5001, "taskprocessing": 5002, "notification": 5003}
"""The port of each service in its container."""


class PortalApi(ABC):
    """A running portal, as its clients see it. `ports` has the port of each service."""

    ports: dict[str, int]

    @abstractmethod
    def create_admin(self, name: str) -> str:
        """Create an admin through the command. Returns its output."""

    @abstractmethod
    def mails(self) -> list[Mail]:
        """All mails that the portal has sent."""

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        service: str = "usermanagement",
        session_id: str | None = None,
        **headers: str,
    ) -> ApiResponse:
        """Send a request on a new connection."""
        port = self.ports[service]
        return send(port, method, path, body, session_id=session_id, headers=headers)

    def register(self, name: str) -> ApiResponse:
        """Register a user with that name."""
        return self.request("POST", REGISTER, registration(name))

    def log_in(self, name: str, password: str = PASSWORD) -> ApiResponse:
        """Create a session."""
        return self.request("POST", f"{API}/login", {"username": name, "password": password})

    def mail(self, recipient: str, subject: str, *, seconds: float = 30) -> str:
        """Wait for the only mail to an address whose subject starts so. Returns its text."""

        def found() -> list[Mail]:
            mails = self.mails()
            return [m for m in mails if m.to == recipient and m.subject.startswith(subject)]

        wait_until(lambda: found() != [], seconds)
        (mail,) = found()
        return mail.text


class User:
    """A user with a session."""

    def __init__(self, portal: PortalApi, name: str) -> None:
        """Log in."""
        self._portal = portal
        self.name = name
        self.email = registration(name)["email"]
        session = portal.log_in(name).body
        self.session_id = str(session["session_id"])
        self.user_id = int(session["user"]["id"])

    @classmethod
    def register(cls, portal: PortalApi, name: str) -> "User":
        """Register a user and log in."""
        portal.register(name)
        return cls(portal, name)

    @classmethod
    def create_admin(cls, portal: PortalApi, name: str = "boss") -> "User":
        """Log an admin in. Creates the admin if needed."""
        portal.create_admin(name)
        return cls(portal, name)

    def request(
        self, method: str, path: str, body: Any = None, *, service: str = "usermanagement"
    ) -> ApiResponse:
        """Send a request in the session."""
        return self._portal.request(
            method, f"{API}{path}", body, service=service, session_id=self.session_id
        )

    def fetch(
        self, method: str, path: str, body: Any = None, *, service: str = "taskprocessing"
    ) -> Any:
        """The body of the response to a request that succeeds."""
        response = self.request(method, path, body, service=service)
        assert 200 <= response.status < 300, response.body
        return response.body

    def add_flight(self, number: str, seats: int = 100) -> int:
        """Add a flight, as an admin. Returns its id."""
        flight = {
            "flightNumber": number,
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2100-01-31T09:30:00Z",
            "totalSeats": seats,
        }
        return int(self.fetch("POST", "/flights", flight)["flight"]["flightId"])

    def seats_left(self, flight_id: int) -> int:
        """The number of available seats."""
        return int(self.fetch("GET", f"/flights/{flight_id}/availability")["available_seats"])

    def book(self, flight_id: int, seats: int = 1) -> int:
        """Create a task that books seats. Returns the task's id."""
        parameters = {"flightId": flight_id, "seats": seats}
        task = {"taskType": "flight_booking", "parameters": parameters}
        return int(self.fetch("POST", "/tasks", task)["task"]["taskId"])

    def task(self, task_id: int) -> dict[str, Any]:
        """The task as it is now."""
        return dict(self.fetch("GET", f"/tasks/{task_id}")["task"])

    def wait_for_tasks(self, task_ids: list[int], status: str = "completed") -> None:
        """Wait until every task has the status."""
        wait_until(lambda: all(self.task(task_id)["status"] == status for task_id in task_ids))


def registration(name: str) -> dict[str, str]:
    """A body for REGISTER."""
    return {
        "username": name,
        "email": f"{name}@example.com",
        "password": PASSWORD,
        "firstName": "John",
        "lastName": "Doe",
        "dateOfBirth": "1990-01-01",
    }


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until the condition holds. Errors of connections mean that it does not."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} s"
        time.sleep(0.05)
