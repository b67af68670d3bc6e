"""User Management under gunicorn, with one worker and limits that are never reached."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from .load import request, send
from .servers import USERMANAGEMENT, gunicorn, migrate

PASSWORD = "correct-horse-battery"

_LIMITS = ("REGISTER", "LOGIN", "LOGIN_FAILURES", "FORGOT")


@dataclass
class Users:
    """A client of the service."""

    port: int
    numbers: Iterator[int] = field(default_factory=count)

    def registration(self) -> str:
        """The body that registers another user: user0, user1, …"""
        name = f"user{next(self.numbers)}"
        return json.dumps({"username": name, "email": f"{name}@example.com", "password": PASSWORD})

    def register(self) -> float:
        """Register another user. Returns the time it took, in ms."""
        path = "/api/v1/airliner/registerUser"
        return self.timed("POST", path, self.registration(), status=201)

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


@contextlib.contextmanager
def usermanagement(
    server: RedisServer,
    folder: Path,
    module: str = "wsgi",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Users]:
    """The service runs during the block, with its SQLite database in `folder`."""
    environment = {
        "DATA_DIR": str(folder),
        "REDIS_URL": server.url,
        "LOG_LEVEL": "ERROR",
        **{f"RATE_LIMIT_{name}": "1000000/60" for name in _LIMITS},
        **(variables or {}),
    }
    migrate(USERMANAGEMENT, environment)
    with gunicorn(module, environment, directory=USERMANAGEMENT) as port:
        yield Users(port)
