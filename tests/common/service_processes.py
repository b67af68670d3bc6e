"""Services and workers as separate processes, started as in production."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from common.pyportal_common.redis_server import free_port
from local.client import API, ApiResponse, send

from ..portal_api import PASSWORD, registration
from .load import ROOT
from .waiting import wait_until

SECONDS = 600  # for what takes a second on an idle machine
_FEW = {f"RATE_LIMIT_{name}": "100000/60" for name in ("REGISTER", "LOGIN", "READS")}


@dataclass
class ServiceProcesses:
    """The processes of one service, with the environment that they share, and their logs."""

    folder: Path
    service: str
    variables: dict[str, str]
    wrapper: Sequence[str] = ()
    """The beginning of each command, such as that of another program which runs it."""
    port: int = field(default_factory=free_port)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def web(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start gunicorn, with one worker, and wait until it is alive."""
        bind = {"BIND": f"127.0.0.1:{self.port}"}
        process = self._start("-m", "gunicorn", "-w", "1", "wsgi", **bind, **variables)
        wait_until(lambda: self.is_alive(process), SECONDS)
        return process

    def worker(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it runs."""
        before = self.log().count("The worker runs")
        process = self._start("-m", "app.worker", **variables)
        wait_until(lambda: self.log().count("The worker runs") > before, SECONDS)
        return process

    def flask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a flask command of the service, to its end."""
        return subprocess.run(
            [*self.wrapper, sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def migrate(self) -> None:
        """Migrate the schema."""
        done = self.flask("db", "upgrade")
        assert done.returncode == 0, done.stderr

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> ApiResponse:
        """Send a request."""
        return send(self.port, method, path, body, **options)

    def status(self, path: str) -> int:
        """The status of a GET; 0 without a response."""
        with suppress(OSError, HTTPException):
            return self.request("GET", path).status
        return 0

    def register(self, name: str) -> ApiResponse:
        """Register a user of User Management with that name."""
        return self.request("POST", f"{API}/registerUser", registration(name))

    def log_in(self, name: str) -> ApiResponse:
        """Log in to User Management."""
        body = {"username": name, "password": PASSWORD}
        return self.request("POST", f"{API}/login", body)

    def is_alive(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether /livez answers. AssertionError with the log if the process has ended."""
        assert process.poll() is None, self.log()
        return self.status("/livez") == 200

    def log(self) -> str:
        """What the processes have logged."""
        file = self.folder / f"{self.service}.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Stop a process by SIGTERM, or kill it if it does not end."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Kill all processes."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the workers of gunicorn
            process.wait()

    @property
    def _folder(self) -> Path:
        return ROOT / f"{self.service}-service"

    def _environment(self, **variables: str) -> dict[str, str]:
        python = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        data = {"DATA_DIR": str(self.folder / "data")}
        return {**os.environ, **python, **data, **_FEW, **self.variables, **variables}

    def _start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{self.service}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.wrapper, sys.executable, *words],
                cwd=self._folder,
                env=self._environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process


@contextmanager
def processes_of(
    service: str, folder: Path, *, wrapper: Sequence[str] = (), **variables: str
) -> Iterator[ServiceProcesses]:
    """The processes of a service, which are killed at the end of the block."""
    processes = ServiceProcesses(folder, service, variables, wrapper)
    try:
        yield processes
    finally:
        processes.close()
