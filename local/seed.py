"""`make seed`: fills the running portal over HTTP, so that there is something to look at.

It is safe to run again: what exists is found first, and bookings have an idempotency key. The
portal's rate limits are low, so it sends no unnecessary request.
"""

import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from .client import API, ApiResponse, send
from .portal import LocalSettings, environment, service_named
from .processes import is_running

_ADMIN = "admin"
_PASSWORD = "correct-horse-battery"  # noqa: S105  of example users
_USERS = ("amelia", "bessie")
_DEPARTURE_DAYS = 30  # from now
_TASK_TIMEOUT = 30.0  # seconds
_MAX_WAIT = 60  # seconds for a rate limit
_TICK = 0.2


class SeedFailed(Exception):
    """A service did not respond as expected. The message is for the user."""


@dataclass(frozen=True)
class _Flight:
    number: str
    origin: str
    destination: str
    seats: int


_FLIGHTS = (
    _Flight("PY101", "LIS", "OSL", 100),
    _Flight("PY102", "OSL", "LIS", 100),
    _Flight("PY203", "LIS", "JFK", 250),
    _Flight("PY310", "VIE", "KEF", 12),
    _Flight("PY404", "KEF", "NRT", 300),
)
# User, flight, seats. The last one fails: the plane has twelve seats.
_BOOKINGS = (
    ("amelia", "PY101", 2),
    ("amelia", "PY203", 3),
    ("bessie", "PY101", 4),
    ("bessie", "PY310", 3),
    ("bessie", "PY310", 20),
)


@dataclass(frozen=True)
class _User:
    name: str
    session_id: str


@dataclass(frozen=True)
class _Task:
    task_id: int
    user: _User
    description: str


def seed(settings: LocalSettings) -> int:
    """Fill the portal and print what it contains. Returns the exit status."""
    try:
        print(_Seed(settings).run())
    except SeedFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


class _Seed:
    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._users = _Api(service_named("usermanagement", settings).port)
        self._tasks = _Api(service_named("taskprocessing", settings).port)

    def run(self) -> str:
        """Create what is missing. Returns a description of the portal's contents."""
        users = {name: self._user(name) for name in _USERS}
        user = users["amelia"]
        flights = self._flights(user)
        tasks = [
            self._book(users[name], number, flights[number], seats)
            for name, number, seats in _BOOKINGS
        ]
        bookings = [self._result(task) for task in tasks]  # before the export, which lists them
        wanted = {"taskType": "data_export", "parameters": {}}
        export = self._create_task(user, wanted, "seed-export", "an export of all tasks")
        return "\n".join(
            [
                f"Users: {' and '.join(users)}, with the password {_PASSWORD}.",
                f"Log in at http://localhost:{self._users.port}/app as one of them.",
                "\nFlights:",
                *(self._availability(flight, flights[flight.number], user) for flight in _FLIGHTS),
                "\nTasks:",
                *bookings,
                self._result(export),
                *self._mails(),
                "\nTry it:",
                *self._examples(user, flights["PY101"]),
            ]
        )

    def _user(self, name: str) -> _User:
        """Log the user in. Registers the user first if needed."""
        login = {"username": name, "password": _PASSWORD}
        response = self._users.request("POST", "/login", login, accepted=(200, 401))
        if response.status == 401:
            self._users.request("POST", "/registerUser", {**login, "email": f"{name}@example.com"})
            response = self._users.request("POST", "/login", login)
        return _User(name, response.body["session_id"])

    def _flights(self, user: _User) -> dict[str, int]:
        """The flights' ids by number. An admin adds those that are missing or have departed."""
        found = {flight.number: self._find(flight, user) for flight in _FLIGHTS}
        missing = [flight for flight in _FLIGHTS if found[flight.number] is None]
        if missing:
            admin = self._admin()
            found |= {flight.number: self._add(flight, admin) for flight in missing}
        return {number: flight_id for number, flight_id in found.items() if flight_id is not None}

    def _find(self, flight: _Flight, user: _User) -> int | None:
        """The id of the flight with that number that has not departed yet."""
        search = {"origin": flight.origin, "destination": flight.destination}
        while True:
            path = f"/flights?{urlencode(search)}"
            page = self._tasks.request("GET", path, user=user).body
            for found in page["items"]:
                departs_at = datetime.fromisoformat(found["departsAt"])
                if found["flightNumber"] == flight.number and departs_at > datetime.now(UTC):
                    return int(found["flightId"])
            if page["next"] is None:
                return None
            search["cursor"] = page["next"]

    def _add(self, flight: _Flight, admin: _User) -> int:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        body = {
            "flightNumber": flight.number,
            "origin": flight.origin,
            "destination": flight.destination,
            "departsAt": (midnight + timedelta(days=_DEPARTURE_DAYS, hours=9)).isoformat(),
            "totalSeats": flight.seats,
        }
        added = self._tasks.request("POST", "/flights", body, user=admin)
        return int(added.body["flight"]["flightId"])

    def _admin(self) -> _User:
        """Log the admin in. Creates the admin first if `make run` runs the portal."""
        given = os.environ.get("ADMIN_PASSWORD") or None
        password = given or secrets.token_urlsafe(12)
        is_new = is_running(self._settings) and self._create_admin(password)
        if given is None:
            if not is_new:
                raise SeedFailed(
                    f"Only an admin can add flights. Run ADMIN_PASSWORD=… make seed,"
                    f" with the password of the user {_ADMIN}."
                )
            print(f"Admin: {_ADMIN}, with the password {password}, which is shown only once.")
        login = {"username": _ADMIN, "password": password}
        return _User(_ADMIN, self._users.request("POST", "/login", login).body["session_id"])

    def _create_admin(self, password: str) -> bool:
        """Create the admin. False if the user exists."""
        service = service_named("usermanagement", self._settings)
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create-admin"]
        created = subprocess.run(
            [*command, "--username", _ADMIN, "--email", f"{_ADMIN}@example.com"],
            cwd=service.folder,
            env=environment(self._settings, service) | {"ADMIN_PASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )
        if created.returncode and "is taken" not in created.stderr:
            raise SeedFailed(f"The admin could not be created: {created.stderr.strip()}")
        return created.returncode == 0

    def _book(self, user: _User, number: str, flight_id: int, seats: int) -> _Task:
        body = _booking(flight_id, seats)
        key = f"seed-{seats}-seats-of-flight-{flight_id}"
        return self._create_task(user, body, key, f"{seats} seats on {number}")

    def _create_task(self, user: _User, body: dict[str, Any], key: str, description: str) -> _Task:
        created = self._tasks.request("POST", "/tasks", body, user=user, idempotency_key=key)
        return _Task(created.body["task"]["taskId"], user, description)

    def _result(self, task: _Task) -> str:
        """Wait until the task has finished. Returns its line of the output."""
        path = f"/tasks/{task.task_id}"
        deadline = time.monotonic() + _TASK_TIMEOUT
        while True:
            now = self._tasks.request("GET", path, user=task.user).body["task"]
            if now["finishedAt"] is not None:
                error = f": {now['error']}" if now["error"] else ""
                line = f"  {task.task_id:<4} {task.user.name}  {task.description:<22}"
                return f"{line}  {now['status']}{error}"
            if time.monotonic() > deadline:
                raise SeedFailed(
                    f"Task {task.task_id} is still {now['status']}: is a worker running?"
                )
            time.sleep(_TICK)

    def _availability(self, flight: _Flight, flight_id: int, user: _User) -> str:
        path = f"/flights/{flight_id}/availability"
        response = self._tasks.request("GET", path, user=user)
        route = f"{flight.number}  {flight.origin}-{flight.destination}"
        return f"  {flight_id:<4} {route}  {response.body['available_seats']} seats left"

    def _mails(self) -> list[str]:
        if not is_running(self._settings):
            return []
        folder = self._settings.data_dir / "mail"
        return [f"\nMails to the users are files in {folder}"]

    def _examples(self, user: _User, flight_id: int) -> list[str]:
        booking = json.dumps(_booking(flight_id, 2))
        authorization = f"-H 'Authorization: Bearer {user.session_id}'"
        tasks = f"localhost:{self._tasks.port}{API}/tasks {authorization}"
        return [
            f"  curl {tasks}",
            f"  curl {tasks} \\\n    -H 'Content-Type: application/json' -d '{booking}'",
            f'  make redis args="-n 1 get flight:availability:{flight_id}"',
        ]


def _booking(flight_id: int, seats: int) -> dict[str, Any]:
    parameters = {"flightId": flight_id, "seats": seats}
    return {"taskType": "flight_booking", "parameters": parameters}


@dataclass(frozen=True)
class _Api:
    """The API of the service on a port of this machine."""

    port: int

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: _User | None = None,
        idempotency_key: str | None = None,
        accepted: Sequence[int] = (200, 201, 202),
    ) -> ApiResponse:
        """Send a request. Waits once if a rate limit refuses it for at most a minute."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        session_id = None if user is None else user.session_id
        for attempt in range(2):
            response = self._send(method, path, body, session_id, headers)
            wait = int(response.headers.get("Retry-After", 0))
            if response.status != 429 or attempt or wait > _MAX_WAIT:
                break
            print(f"Rate limit of {path} reached. Waiting {wait} s.", flush=True)
            time.sleep(wait)
        if response.status not in accepted:
            raise SeedFailed(
                f"{method} {path} failed with status {response.status}: {json.dumps(response.body)}"
            )
        return response

    def _send(
        self, method: str, path: str, body: Any, session_id: str | None, headers: dict[str, str]
    ) -> ApiResponse:
        try:
            return send(
                self.port, method, f"{API}{path}", body, session_id=session_id, headers=headers
            )
        except ConnectionRefusedError:
            raise SeedFailed(
                f"Nothing listens on port {self.port}: start the portal with `make run`."
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SeedFailed(f"Port {self.port} does not respond: {error}") from error
