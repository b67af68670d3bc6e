"""What an outage of Redis adds to a registration, over HTTP, with one gunicorn worker."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

from common.pyportal_common.embedded import (
    RedisServer,
    embedded_server,
    free_port,
    redis_server_on_path,
)

SERVICE = Path(__file__).parent.parent / "usermanagement-service"
_REQUESTS = 40


def run() -> None:
    """Print, for a server that is killed and one that hangs, what clients pay and when it ends."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("no Redis server on this machine")
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(binary, Path(folder) / "redis")
        redis.start()
        try:
            with _service(redis, Path(folder)) as users:
                print(
                    f"{'ms a registration':<34} {'usual':>7} {'first':>7} {'then':>7} {'back':>7}"
                )
                _outage(users, "killed", redis.kill, redis.start)
                _outage(users, "hung (SIGSTOP)", redis.pause, redis.resume)
        finally:
            redis.stop()
    print(
        "\nusual, then: medians; first: the one that meets the outage; back: until a probe sees it"
    )


@dataclass
class _Users:
    port: int
    names: Iterator[int] = field(default_factory=count)

    def register(self) -> float:
        name = f"user{next(self.names)}"
        body = {
            "username": name,
            "email": f"{name}@example.com",
            "password": "correct-horse-battery",
        }
        began = time.perf_counter()
        status, _ = self.request("POST", "/api/v1/airliner/registerUser", json.dumps(body))
        if status != 201:
            raise SystemExit(f"a registration was answered {status}")
        return (time.perf_counter() - began) * 1000

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()


def _outage(users: _Users, name: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
    usual = median(users.register() for _ in range(_REQUESTS))
    begin()
    first = users.register()
    then = median(users.register() for _ in range(_REQUESTS))
    end()
    began = time.perf_counter()
    while b'"redis":"ok"' not in users.request("GET", "/health")[1]:
        time.sleep(0.005)
    back = (time.perf_counter() - began) * 1000
    print(f"Redis {name:<28} {usual:>7.1f} {first:>7.1f} {then:>7.1f} {back:>7.0f}")


@contextlib.contextmanager
def _service(redis: RedisServer, folder: Path) -> Iterator[_Users]:
    port = free_port()
    environment = {
        **os.environ,
        "DATA_DIR": str(folder),
        "REDIS_URL": redis.url,
        "RATE_LIMIT_REGISTER": "1000000/60",
        "LOG_LEVEL": "ERROR",
    }
    upgrade = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(upgrade, cwd=SERVICE, env=environment, check=True)
    serve = [
        sys.executable,
        "-m",
        "gunicorn",
        "--workers",
        "1",
        "--bind",
        f"127.0.0.1:{port}",
        "wsgi",
    ]
    process = subprocess.Popen(serve, cwd=SERVICE, env=environment)
    users = _Users(port)
    try:
        _await(users)
        yield users
    finally:
        process.terminate()
        process.wait(20)


def _await(users: _Users) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if users.request("GET", "/readyz")[0] == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the service did not start")
