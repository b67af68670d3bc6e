"""The portal as docker-compose.yml starts it: a project of its own, on ports of its own."""

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import free_port

ROOT = Path(__file__).parent.parent.parent
API = "/api/v1/airliner"
SERVICES = (
    "usermanagement-service",
    "usermanagement-worker",
    "taskprocessing-service",
    "taskprocessing-worker",
    "notification-service",
    "notification-worker",
)


class Compose:
    """One project. The container's name `redis` is fixed, so only one can run at a time."""

    def __init__(self, **variables: str) -> None:
        self.port = free_port()
        self.tasks_port = free_port()
        self.notification_port = free_port()
        self.redis_port = free_port()
        own = {
            "COMPOSE_PROJECT_NAME": "pyportal-test",
            "USERMANAGEMENT_PORT": str(self.port),
            "TASKPROCESSING_PORT": str(self.tasks_port),
            "NOTIFICATION_PORT": str(self.notification_port),
            "REDIS_PORT": str(self.redis_port),
            "RATE_LIMIT_REGISTER": "100000/60",
            "RATE_LIMIT_LOGIN": "100000/60",
            "JOB_LEASE_SECONDS": "2",  # a worker that is killed is missed soon
            **variables,
        }
        self.environment = {**os.environ, **own}

    def __call__(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """What `docker compose` with these words prints."""
        return self._run("compose", *words, stdin=stdin, check=check).stdout.strip()

    def errors(self, *words: str) -> str:
        """What it says on stderr, failing or not."""
        return self._run("compose", *words, check=False).stderr

    def docker(self, *words: str) -> str:
        """What `docker` prints."""
        return self._run(*words).stdout.strip()

    def container(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container."""
        identifier = self("ps", "--all", "--quiet", service)
        return dict(json.loads(self.docker("inspect", identifier))[0])

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        port: int | None = None,
        session_id: str | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        """The status, the body and the headers of a request, to User Management unless told."""
        presented = {} if session_id is None else {"Authorization": f"Bearer {session_id}"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **presented},
        )
        try:
            response = _opener.open(request, timeout=10)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read()
            return response.status, json.loads(text) if text else None, dict(response.headers)

    def register(self, name: str) -> int:
        """Register a user of that name."""
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        return self.request("POST", f"{API}/registerUser", body)[0]

    def login(self, name: str) -> tuple[int, Any, dict[str, str]]:
        """Begin a session."""
        return self.request("POST", f"{API}/login", {"username": name, "password": PASSWORD})

    def _run(
        self, *words: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", *words],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done


PASSWORD = "correct-horse-battery"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return when `condition` holds; a connection that breaks is one more reason to wait."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def on_terms() -> None:
    """Skip where nobody asked for these tests: they need Docker, minutes, and the name `redis`."""
    if os.environ.get("PYPORTAL_COMPOSE_TESTS") != "1":
        pytest.skip("PYPORTAL_COMPOSE_TESTS=1 runs the tests of docker-compose.yml")
    with contextlib.suppress(OSError):
        asked = subprocess.run(["docker", "compose", "ls"], capture_output=True, check=False)
        if asked.returncode == 0:
            return
    pytest.skip("`docker compose` does not work on this machine")


def up(**variables: str) -> Iterator[Compose]:
    """A running project, removed in the end with its volumes."""
    on_terms()
    compose = Compose(**variables)
    try:
        compose("up", "--detach", "--build", "--wait", "--wait-timeout", "120")
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "6", check=False)


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with the defaults for development, but without limits."""
    yield from up()


def size_in_bytes(compose: Compose, image: str) -> int:
    """Of all of an image's layers."""
    return int(compose.docker("image", "inspect", "--format", "{{.Size}}", image))


def guides_curl() -> str:
    """The registration of the README, as it stands there."""
    found = re.search(r"^curl -i .*registerUser.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found
    return found.group()
