"""The three services with their workers, as processes of a run."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Date, column, create_engine, insert, table

from common.pyportal_common.db.types import UtcDateTime
from common.pyportal_common.redis_server import free_port

from .http_client import HttpClient
from .processes import Processes, gunicorn, python, service_variables
from .settings import ROOT, RunSettings

PASSWORD = "Correct-horse-battery-9"
SERVICE_TOKEN = "reliability-token-of-32-characters"
SERVICES = ("usermanagement", "taskprocessing", "notification")
FLIGHT = 1  # the id of the only one

_SEATS = 1_000_000
_START = 300.0  # seconds for all services to start
_ANSWER = 60.0  # seconds for a response: none at all is a failure, on a starved machine too
_STOP = 60.0  # seconds for all processes to end


@dataclass(frozen=True)
class Programs:
    """The module whose `application` gunicorn loads, and the one that is a worker."""

    web: str = "wsgi"
    worker: str = "app.worker"


class Portal:
    """The services. `urls` are those of their databases, `variables` all that a service adds."""

    def __init__(
        self,
        settings: RunSettings,
        processes: Processes,
        urls: Mapping[str, str],
        variables: Callable[[str], Mapping[str, str]],
        programs: Programs = Programs(),
    ) -> None:
        self.ports = {name: free_port() for name in SERVICES}
        self.urls = urls
        self._settings = settings
        self._processes = processes
        self._variables = variables
        self._programs = programs

    def start(self, users: int) -> None:
        """Create the databases with so many users and a flight, and start everything."""
        for migration in [self._migrate(name) for name in SERVICES]:
            if migration.wait() != 0:
                raise RuntimeError("a database cannot be migrated")
        _insert_users(self.urls["usermanagement"], users)
        _insert_flight(self.urls["taskprocessing"])
        for name in SERVICES:
            self._start(name)
        if not self._processes.wait_until(self._is_ready, _START):
            logs = (path.read_text("utf-8")[-2000:] for path in self._settings.folder.glob("*.log"))
            raise RuntimeError("the services do not start:\n" + "".join(logs))

    def stop(self) -> list[str]:
        """End everything; the names of the processes that did not end with status 0."""
        return self._processes.terminate(_STOP)

    def client(self, name: str, session_id: str | None = None) -> HttpClient:
        """See client_of."""
        return client_of(self.ports[name], session_id)

    def environment(self, name: str) -> dict[str, str]:
        """The variables of the processes of a service."""
        addresses = {
            f"{each.upper()}_URL": f"http://127.0.0.1:{port}" for each, port in self.ports.items()
        }
        return {
            **service_variables(_folder(name), self.urls[name], "", self.ports[name]),
            **addresses,
            "DATA_DIR": str(self._settings.folder / name),
            "SERVICE_TOKEN": SERVICE_TOKEN,
            "SERVICE_TOKENS": f"reliability:{SERVICE_TOKEN}",
            "SESSION_MAX_PER_USER": "10000",
            "RATE_LIMIT_LOGIN": "1000000/60",
            "RATE_LIMIT_READS": "1000000/60",
            **self._variables(name),
        }

    def _migrate(self, name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
            cwd=self._settings.folder,
            env={**os.environ, **self.environment(name)},
            stdout=subprocess.DEVNULL,
        )

    def _start(self, name: str) -> None:
        settings, variables = self._settings, self.environment(name)
        web = gunicorn(_folder(name), self._programs.web)
        self._processes.start(f"{name}-web", python(settings, variables, "-m", *web))
        worker = ("-m", self._programs.worker)
        self._processes.start(f"{name}-worker", python(settings, variables, *worker))

    def _is_ready(self) -> bool:
        ready = all(self.client(name).call("GET", "/nothing").status == 404 for name in SERVICES)
        return ready and self.log_in(1) is not None

    def log_in(self, user_id: int) -> str | None:
        """The id of a new session; None if that failed."""
        body = {"username": username(user_id), "password": PASSWORD}
        response = self.client("usermanagement").call("POST", "/login", body)
        return response.body["session_id"] if response.status == 200 else None


def client_of(port: int, session_id: str | None) -> HttpClient:
    """A client of the service on `port`, with this session or as another service."""
    header = (
        {"X-Service-Token": SERVICE_TOKEN}
        if session_id is None
        else {"Authorization": f"Bearer {session_id}"}
    )
    return HttpClient(port, header, timeout=_ANSWER)


def username(user_id: int) -> str:
    """The name of a user that `start` has created."""
    return f"user{user_id}"


def _folder(name: str) -> Path:
    return ROOT / f"{name}-service"


def _insert_users(url: str, number: int) -> None:
    hashed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
    _insert(url, "users", [_user(user_id, hashed) for user_id in range(1, number + 1)])


def _user(user_id: int, password_hash: str) -> dict[str, Any]:
    name = username(user_id)
    email = f"{name}@example.com"
    return {
        "username": name,
        "username_key": name,
        "email": email,
        "email_key": email,
        "first_name": "0",
        "password_hash": password_hash,
        "created_at": datetime.now(UTC),
        "updated_at": datetime.now(UTC),
    }


def _insert_flight(url: str) -> None:
    departs_at = datetime.now(UTC) + timedelta(days=30)
    row = {
        "flight_number": "PY1",
        "origin": "LIS",
        "destination": "OSL",
        "departs_at": departs_at,
        "departs_on": departs_at.date(),
        "total_seats": _SEATS,
        "available_seats": _SEATS,
        "created_at": datetime.now(UTC),
        "updated_at": datetime.now(UTC),
    }
    _insert(url, "flights", [row])


_TYPES: dict[type, Any] = {datetime: UtcDateTime, date: Date}


def _insert(url: str, name: str, rows: list[dict[str, Any]]) -> None:
    columns = (column(key, _TYPES.get(type(value))) for key, value in rows[0].items())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(table(name, *columns)), rows)
    engine.dispose()
