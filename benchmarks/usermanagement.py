"""User Management under gunicorn, with one worker and without limits, for benchmarks."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from .servers import SERVICE, gunicorn


@dataclass
class Users:
    """A client of the service."""

    port: int
    names: Iterator[int] = field(default_factory=count)

    def registration(self) -> str:
        """The body that registers another user."""
        name = f"user{next(self.names)}"
        return json.dumps(
            {"username": name, "email": f"{name}@example.com", "password": "correct-horse-battery"}
        )

    def register(self) -> float:
        """Register another user; the milliseconds that took."""
        path = "/api/v1/airliner/registerUser"
        status, milliseconds = self.timed("POST", path, self.registration())
        if status != 201:
            raise SystemExit(f"a registration was answered {status}")
        return milliseconds

    def timed(self, method: str, path: str, body: str) -> tuple[int, float]:
        """The status of an answer, and the milliseconds until it was read."""
        began = time.perf_counter()
        status, _ = self.request(method, path, body)
        return status, (time.perf_counter() - began) * 1000

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """The status and the body of an answer, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def service(
    redis: RedisServer,
    folder: Path,
    module: str = "wsgi",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Users]:
    """The service over `redis`, with its SQLite in `folder`, until the end of the block."""
    environment = {
        "DATA_DIR": str(folder),
        "REDIS_URL": redis.url,
        "RATE_LIMIT_REGISTER": "1000000/60",
        "RATE_LIMIT_LOGIN": "1000000/60",
        "RATE_LIMIT_LOGIN_FAILURES": "1000000/60",
        "RATE_LIMIT_FORGOT": "1000000/60",
        "LOG_LEVEL": "ERROR",
        **(variables or {}),
    }
    upgrade = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(upgrade, cwd=SERVICE, env={**os.environ, **environment}, check=True)
    with gunicorn(module, environment, directory=SERVICE) as port:
        yield Users(port)
