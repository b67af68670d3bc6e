"""A process of clients, which use the portal at a steady rate and record every request.

A line of the journal is `kind begin end user outcome number by`, as those of `http`; further kinds
name the session, or the row that was created, instead of a number. `leaving SESSION` comes before a
logout is requested, and `lost SESSION` after a 401.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .http_client import HttpClient, Response
from .journal import now
from .portal import FLIGHT, PASSWORD, client_of, username
from .settings import RunSettings, process_name

OWNERS = 4  # the users 1 to 4 change themselves
BOOKERS = 2  # the following ones book
VISITORS = 40  # the others log in and out

_VARIABLE = "RELIABILITY_LOAD"
_LOGS_OUT = 0.4  # of the logins


@dataclass(frozen=True)
class LoadSettings:
    """The ports of the services, and how long a client waits between two requests of a kind."""

    ports: dict[str, int]
    write_seconds: float = 0.2
    read_seconds: float = 0.1
    login_seconds: float = 0.5
    book_seconds: float = 0.4
    registers: bool = True
    keeps_sessions: bool = True

    def variables(self) -> dict[str, str]:
        """What `from_environment` reads."""
        return {_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> "LoadSettings":
        """The settings of the run that this process belongs to."""
        return cls(**json.loads(os.environ[_VARIABLE]))


class Load:
    """The clients, each in a thread of its own, until the process ends."""

    def __init__(self, run: RunSettings, settings: LoadSettings) -> None:
        self._run = run
        self._settings = settings
        self._name = process_name()  # other numbers and names than those of an earlier process
        self._note = run.journal(self._name).note
        self._sessions: dict[int, str] = {}

    def start(self) -> None:
        """Start all clients."""
        for user_id in range(1, OWNERS + 1):
            self._start(self._write, user_id)
            self._start(self._read, user_id)
        for user_id in range(OWNERS + 1, OWNERS + BOOKERS + 1):
            self._start(self._book, user_id)
        self._start(self._visit)
        if self._settings.registers:
            self._start(self._register)

    def _start(self, target: Callable[..., None], *arguments: int) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _turns(self, seconds: float) -> Iterator[int]:
        """Numbers from 1, one every so many seconds, and later if a request takes longer."""
        number, due = 0, time.monotonic()
        while True:
            due = max(due + seconds, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            yield (number := number + 1)

    def _write(self, user_id: int) -> None:
        for number in self._turns(self._settings.write_seconds):
            session_id = self._session_of(user_id)
            if session_id is None:
                continue
            client = self._usermanagement(session_id)
            body = {"firstName": str(number)}
            begin = now()
            response = client.call("PATCH", f"/users/{user_id}", body)
            self._record("write", begin, user_id, response, number, "owner")
            self._check_session(user_id, session_id, response)

    def _read(self, user_id: int) -> None:
        rng = self._run.random_for(f"{self._name} reader {user_id}")
        for _ in self._turns(self._settings.read_seconds):
            session_id = self._sessions.get(user_id)
            by = rng.choice(["owner", "service"])
            if session_id is None:
                continue
            client = self._usermanagement(session_id if by == "owner" else None)
            begin = now()
            response = client.call("GET", f"/users/{user_id}")
            number = int(response.body["user"]["firstName"]) if response.status == 200 else -1
            self._record("read", begin, user_id, response, number, by)
            if by == "owner":
                self._check_session(user_id, session_id, response)

    def _book(self, user_id: int) -> None:
        """Book one seat after another, more often than the limit allows."""
        body = {"taskType": "flight_booking", "parameters": {"flightId": FLIGHT, "seats": 1}}
        for number in self._turns(self._settings.book_seconds):
            session_id = self._session_of(user_id)
            if session_id is None:
                continue
            client = self._client("taskprocessing", session_id)
            key = f"{self._name}-{user_id}-{number}"
            begin = now()
            response = client.call("POST", "/tasks", body, key)
            task = response.body["task"]["taskId"] if response.status == 202 else "-"
            self._record("book", begin, user_id, response, task, "owner")
            self._check_session(user_id, session_id, response)
            for looker, path in (
                (client, f"/flights/{FLIGHT}/availability"),
                (self._client("notification", session_id), "/notifications"),
            ):
                begin = now()
                response = looker.call("GET", path)
                self._record("look", begin, user_id, response, "-", "owner")

    def _visit(self) -> None:
        """Log in as one user after another, and sometimes out again."""
        rng, first = self._run.random_for(f"{self._name} visitors"), OWNERS + BOOKERS + 1
        for number in self._turns(self._settings.login_seconds):
            session_id = self._log_in(first + number % VISITORS)
            if session_id is None:
                continue
            if not self._settings.keeps_sessions or rng.random() < _LOGS_OUT:
                self._note("leaving", session_id)
                begin = now()
                response = self._usermanagement(session_id).call("POST", "/logout")
                self._record("logout", begin, 0, response, session_id, "owner")

    def _register(self) -> None:
        for number in self._turns(self._settings.login_seconds):
            name = f"r-{self._name.replace('.', '-')}-{number}"
            body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            begin = now()
            response = self._usermanagement(None).call("POST", "/registerUser", body)
            user_id = response.body["user"]["id"] if response.status == 201 else "-"
            self._record("register", begin, 0, response, user_id, "nobody")

    def _session_of(self, user_id: int) -> str | None:
        if user_id not in self._sessions:
            session_id = self._log_in(user_id)
            if session_id is not None:
                self._sessions[user_id] = session_id
        return self._sessions.get(user_id)

    def _log_in(self, user_id: int) -> str | None:
        body = {"username": username(user_id), "password": PASSWORD}
        begin = now()
        response = self._usermanagement(None).call("POST", "/login", body)
        session_id = response.body["session_id"] if response.status == 200 else None
        self._record("login", begin, user_id, response, session_id or "-", "nobody")
        return session_id

    def _check_session(self, user_id: int, session_id: str, response: Response) -> None:
        """Log in again after a session was lost."""
        if response.status == 401 and self._sessions.get(user_id) == session_id:
            self._note("lost", session_id)
            self._sessions.pop(user_id, None)

    def _record(
        self, kind: str, begin: int, user_id: int, response: Response, value: Any, by: str
    ) -> None:
        outcome = response.status or response.body
        self._note(kind, begin, now(), user_id, outcome, value, by)

    def _usermanagement(self, session_id: str | None) -> HttpClient:
        return self._client("usermanagement", session_id)

    def _client(self, service: str, session_id: str | None) -> HttpClient:
        return client_of(self._settings.ports[service], session_id)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in all threads
    Load(RunSettings.from_environment(), LoadSettings.from_environment()).start()
    signal.sigwait({signal.SIGTERM})
