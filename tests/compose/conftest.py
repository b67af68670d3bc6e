"""The portal as docker-compose.yml starts it: a separate project on free ports."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import free_port

from ..mails import Mail
from ..portal_api import PASSWORD, PORTS, PortalApi

ROOT = Path(__file__).parent.parent.parent
NAMES = tuple(PORTS)
SERVICES = [f"{name}-{part}" for name in NAMES for part in ("service", "worker")]


class Compose(PortalApi):
    """One project. The container's name `redis` is fixed, so only one can run at a time."""

    def __init__(self, **variables: str) -> None:
        self.ports = {name: free_port() for name in NAMES}
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": "pyportal-test",
            **{f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "REDIS_PORT": str(free_port()),
            "RATE_LIMIT_REGISTER": "100000/60",
            "RATE_LIMIT_LOGIN": "100000/60",
            "RATE_LIMIT_READS": "1000000/60",
            "JOB_LEASE_SECONDS": "2",  # so that the jobs of a killed worker are soon repeated
            **variables,
        }

    def __call__(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Run `docker compose`. Returns its output."""
        return self._run("compose", *arguments, stdin=stdin, check=check).stdout.strip()

    def errors(self, *arguments: str) -> str:
        """Run `docker compose`, which may fail. Returns what it prints on stderr."""
        return self._run("compose", *arguments, check=False).stderr

    def execute(self, service: str, *command: str, stdin: str = "", check: bool = True) -> str:
        """Run a command in a service's container. Returns its output."""
        return self("exec", "-T", service, *command, stdin=stdin, check=check)

    def redis(self, *command: str) -> str:
        """Run redis-cli in the container of Redis. Returns its output."""
        return self.execute("redis", "redis-cli", *command)

    def docker(self, *arguments: str) -> str:
        """Run `docker`. Returns its output."""
        return self._run(*arguments).stdout.strip()

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start `docker compose`."""
        return subprocess.Popen(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env=self.environment,
            text=True,
            **options,
        )

    def config(self, *files: str) -> dict[str, Any]:
        """The services as Compose reads them from the files."""
        return dict(json.loads(self(*files, "config", "--format", "json"))["services"])

    def container(self, service: str) -> dict[str, Any]:
        """Docker's description of a service's container."""
        identifier = self("ps", "--all", "--quiet", service)
        return dict(json.loads(self.docker("inspect", identifier))[0])

    def image_size(self, image: str) -> int:
        """The bytes of all layers of an image."""
        return int(self.docker("image", "inspect", "--format", "{{.Size}}", image))

    def create_admin(self, name: str) -> str:
        """Create an admin in the service's container. Returns the command's output."""
        return self(
            "exec", "-T", "-e", f"ADMIN_PASSWORD={PASSWORD}", "usermanagement-service",
            "flask", "--app", "wsgi", "users", "create-admin",
            "--username", name, "--email", f"{name}@example.com",
            check=False,
        )  # fmt: skip

    def mails(self) -> list[Mail]:
        """All mails: files in a volume that only Notification's worker mounts."""
        script = (ROOT / "tests" / "mails.py").read_text()
        output = self.execute("notification-worker", "python", "-", "/data/mail", stdin=script)
        return [Mail(*fields) for fields in json.loads(output)]

    def _run(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", *arguments],
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


@pytest.fixture(scope="session", autouse=True)
def _require_docker() -> None:
    """Skip unless requested: the tests need Docker, minutes, and the container's name `redis`."""
    if os.environ.get("PYPORTAL_COMPOSE_TESTS") != "1":
        pytest.skip("PYPORTAL_COMPOSE_TESTS=1 runs the tests of docker-compose.yml")
    with contextlib.suppress(OSError):
        done = subprocess.run(["docker", "compose", "ls"], capture_output=True, check=False)
        if done.returncode == 0:
            return
    pytest.skip("`docker compose` does not work on this machine")


def running_compose(**variables: str) -> Iterator[Compose]:
    """Start a project, yield it and remove it with its volumes."""
    compose = Compose(**variables)
    try:
        compose("up", "--detach", "--build", "--wait", "--wait-timeout", "120")
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "6", check=False)


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with the defaults for development, but without rate limits."""
    yield from running_compose()


def readme_curl() -> str:
    """The registration in the README."""
    found = re.search(r"^curl -i .*registerUser.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found
    return found.group()
