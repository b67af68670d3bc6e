"""`make seed`: fills the running portal over HTTP, so that a first look finds something.

All of it is looked for before it is made, or sent with a key of its own: a second run makes nothing
twice. The limits of the portal are small, so no request is made that can be spared.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from .client import PREFIX, Client, Refused
from .portal import LocalSettings, environment, service_named
from .run import running

_ADMIN = "admin"
_PASSWORD = "correct-horse-battery"  # noqa: S105  of users who own nothing but examples
_USERS = ("amelia", "bessie")
_DAYS = 30  # from now, until the first flight departs
_PATIENCE = 30.0  # seconds for a task to end
_TICK = 0.2


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
# User, flight, seats. The last cannot be done: the plane has twelve.
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
    """What a user wants, in words, and what came of it."""

    task_id: int
    user: _User
    wanted: str
    outcome: str = ""


def seed(settings: LocalSettings) -> int:
    """Fill the portal, and say what is there then. Returns the exit status."""
    try:
        print(_Seed(settings).sown())
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


class _Seed:
    """The running portal, while it is filled."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._users = Client(service_named("usermanagement", settings).port)
        self._tasks = Client(service_named("taskprocessing", settings).port)

    def sown(self) -> str:
        """Do all of it; what there is then, in words."""
        users = {name: self._user(name) for name in _USERS}
        anybody = users["amelia"]
        flights = self._flights(anybody)
        bookings = [
            self._book(users[name], number, flights[number], seats)
            for name, number, seats in _BOOKINGS
        ]
        tasks = [self._ended(task) for task in bookings]
        tasks.append(self._ended(self._export(anybody)))
        return "\n".join(
            [
                f"Users: {' and '.join(users)}, with the password {_PASSWORD}.",
                "\nFlights:",
                *(self._line_of(flight, flights[flight.number], anybody) for flight in _FLIGHTS),
                "\nTasks:",
                *(_line(task) for task in tasks),
                *self._mails(),
                "\nTry it:",
                *self._commands(anybody, flights["PY101"]),
            ]
        )

    def _user(self, name: str) -> _User:
        """Log the user in, and register them first if that is what it takes."""
        login = {"username": name, "password": _PASSWORD}
        answer = self._users.ask("POST", "/login", login, accepted=(200, 401))
        if answer.status == 401:
            registration = {**login, "email": f"{name}@example.com"}
            self._users.ask("POST", "/registerUser", registration)
            answer = self._users.ask("POST", "/login", login)
        return _User(name, answer.body["session_id"])

    def _flights(self, anybody: _User) -> dict[str, int]:
        """The ids of the flights, by number. An admin adds what is not there, or has departed."""
        found = {flight.number: self._find(flight, anybody) for flight in _FLIGHTS}
        missing = [flight for flight in _FLIGHTS if found[flight.number] is None]
        if missing:
            admin = self._admin()
            found |= {flight.number: self._add(flight, admin) for flight in missing}
        return {number: flight_id for number, flight_id in found.items() if flight_id is not None}

    def _find(self, flight: _Flight, anybody: _User) -> int | None:
        """The id of the flight of that number which has yet to depart."""
        search = {"origin": flight.origin, "destination": flight.destination}
        while True:
            path = f"/flights?{urlencode(search)}"
            page = self._tasks.ask("GET", path, session_id=anybody.session_id).body
            for found in page["items"]:
                departs_at = datetime.fromisoformat(found["departsAt"])
                if found["flightNumber"] == flight.number and departs_at > datetime.now(UTC):
                    return int(found["flightId"])
            if page["next"] is None:
                return None
            search["cursor"] = page["next"]

    def _add(self, flight: _Flight, admin: _User) -> int:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        new = {
            "flightNumber": flight.number,
            "origin": flight.origin,
            "destination": flight.destination,
            "departsAt": (midnight + timedelta(days=_DAYS, hours=9)).isoformat(),
            "totalSeats": flight.seats,
        }
        answer = self._tasks.ask("POST", "/flights", new, session_id=admin.session_id)
        return int(answer.body["flight"]["flightId"])

    def _admin(self) -> _User:
        """An admin, made by the command that makes them if the portal is that of `make run`."""
        given = os.environ.get("ADMIN_PASSWORD")
        password = given or secrets.token_urlsafe(12)
        is_new = running(self._settings) and self._create_admin(password)
        if given is None:
            if not is_new:
                raise Refused(
                    f"Flights are added by an admin. Say ADMIN_PASSWORD=… make seed,"
                    f" with the password of {_ADMIN}."
                )
            print(f"Admin: {_ADMIN}, with the password {password}, which is not shown again.")
        login = {"username": _ADMIN, "password": password}
        return _User(_ADMIN, self._users.ask("POST", "/login", login).body["session_id"])

    def _create_admin(self, password: str) -> bool:
        """Whether there was no such user yet."""
        service = service_named("usermanagement", self._settings)
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create-admin"]
        made = subprocess.run(
            [*command, "--username", _ADMIN, "--email", f"{_ADMIN}@example.com"],
            cwd=service.folder,
            env=environment(self._settings, service) | {"ADMIN_PASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode and "is taken" not in made.stderr:
            raise Refused(f"No admin could be made: {made.stderr.strip()}")
        return made.returncode == 0

    def _book(self, user: _User, number: str, flight_id: int, seats: int) -> _Task:
        parameters = {"flightId": flight_id, "seats": seats}
        key = f"seed-{seats}-seats-of-flight-{flight_id}"
        wanted = f"{seats} seats on {number}"
        return self._want(user, "flight_booking", parameters, key, wanted)

    def _export(self, user: _User) -> _Task:
        return self._want(user, "data_export", {}, "seed-export", "an export of all tasks")

    def _want(
        self, user: _User, task_type: str, parameters: dict[str, Any], key: str, wanted: str
    ) -> _Task:
        body = {"taskType": task_type, "parameters": parameters}
        answer = self._tasks.ask("POST", "/tasks", body, session_id=user.session_id, key=key)
        return _Task(answer.body["task"]["taskId"], user, wanted)

    def _ended(self, task: _Task) -> _Task:
        """The task with its outcome. Who repeats a request is told how it was at the first."""
        path, session_id = f"/tasks/{task.task_id}", task.user.session_id
        deadline = time.monotonic() + _PATIENCE
        while True:
            now = self._tasks.ask("GET", path, session_id=session_id).body["task"]
            if now["finishedAt"] is not None:
                error = f": {now['error']}" if now["error"] else ""
                return replace(task, outcome=f"{now['status']}{error}")
            if time.monotonic() > deadline:
                raise Refused(f"Task {task.task_id} is still {now['status']}: does a worker run?")
            time.sleep(_TICK)

    def _line_of(self, flight: _Flight, flight_id: int, anybody: _User) -> str:
        path = f"/flights/{flight_id}/availability"
        answer = self._tasks.ask("GET", path, session_id=anybody.session_id)
        route = f"{flight.number}  {flight.origin}-{flight.destination}"
        return f"  {flight_id:<4} {route}  {answer.body['available_seats']} seats left"

    def _mails(self) -> list[str]:
        """Where they are, if the portal is that of `make run`."""
        if not running(self._settings):
            return []
        folder = self._settings.data_dir / "mail"
        return [f"\nMails, to users and about tasks, are files: {folder}"]

    def _commands(self, user: _User, flight_id: int) -> list[str]:
        parameters = {"flightId": flight_id, "seats": 2}
        booking = json.dumps({"taskType": "flight_booking", "parameters": parameters})
        as_user = f"-H 'Authorization: Bearer {user.session_id}'"
        tasks = f"localhost:{self._tasks.port}{PREFIX}/tasks {as_user}"
        return [
            f"  curl {tasks}",
            f"  curl {tasks} \\\n    -H 'Content-Type: application/json' -d '{booking}'",
            f'  make redis args="-n 1 get flight:availability:{flight_id}"',
        ]


def _line(task: _Task) -> str:
    return f"  {task.task_id:<4} {task.user.name}  {task.wanted:<22}  {task.outcome}"
