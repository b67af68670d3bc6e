"""User Management under gunicorn, with limits that are never reached."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from .load import request, send
from .servers import USERMANAGEMENT, gunicorn, migrate

API = "/api/v1/airliner"
PASSWORD = "correct-horse-battery"

_LIMITS = ("REGISTER", "LOGIN", "LOGIN_FAILURES", "FORGOT")


@dataclass(frozen=True)
class Users:
    """A client of the service."""

    port: int

    def register(self) -> str:
        """Register another user. Returns the name."""
        name = new_name()
        self.timed("POST", f"{API}/registerUser", registration(name), status=201)
        return name

    def timed(self, method: str, path: str, body: str, *, status: int) -> float:
        """The ms that a request took. Ends the program at any other status."""
        began = time.perf_counter()
        answered, text = self.request(method, path, body)
        milliseconds = (time.perf_counter() - began) * 1000
        if answered != status:
            raise SystemExit(f"{method} {path} was answered {answered}: {text!r}")
        return milliseconds

    def request(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        """The status and the body of a response, on a new connection."""
        response, text = send(self.port, request(method, path, {}, body))
        return response.status, text


def new_name() -> str:
    """A username that nobody has."""
    return f"u{uuid.uuid4().hex[:12]}"


def registration(name: str) -> str:
    """The body that registers a user."""
    return json.dumps({"username": name, "email": f"{name}@example.com", "password": PASSWORD})


@contextlib.contextmanager
def usermanagement(
    server: RedisServer, folder: Path, *, workers: int = 1, **variables: str
) -> Iterator[Users]:
    """The service runs during the block, with its SQLite database in `folder`."""
    environment = {
        "DATA_DIR": str(folder),
        "REDIS_URL": server.url,
        "LOG_LEVEL": "ERROR",
        **{f"RATE_LIMIT_{name}": "1000000/60" for name in _LIMITS},
        **variables,
    }
    migrate(USERMANAGEMENT, environment)
    with gunicorn("wsgi", environment, workers=workers, directory=USERMANAGEMENT) as port:
        yield Users(port)
