"""The processes of a run: paused, killed, and restarted by the one thread that supervises them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import ROOT, RunSettings

_TURN = 0.05  # seconds between two looks at the processes

_fork = multiprocessing.get_context("fork")


class Fork:
    """A process that runs `target(name)`, forked from this one, which must not have threads.

    Its methods are those of Popen.
    """

    def __init__(self, target: Callable[[str], Any], name: str) -> None:
        self._process: Any = _fork.Process(target=target, args=(name,), name=name, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        pid: int = self._process.pid
        return pid

    def poll(self) -> int | None:
        status: int | None = self._process.exitcode
        return status

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self._process.pid, sig)


Process = subprocess.Popen[bytes] | Fork
Launch = Callable[[str], Process]  # starts a process of the given name


def python(settings: RunSettings, variables: dict[str, str], *arguments: str) -> Launch:
    """Run `python *arguments`; the output goes to the run's folder."""

    def launch(name: str) -> Process:
        with (settings.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=settings.folder,
                env={**os.environ, **variables, **settings.variables(name)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    return launch


def gunicorn(service: Path, module: str) -> tuple[str, ...]:
    """Arguments of `python -m`: the processes of a service, whose `application` is in `module`."""
    return ("gunicorn", "-c", str(service / "gunicorn.conf.py"), f"{module}:application")


def service_variables(
    service: Path, database_url: str, redis_url: str, port: int
) -> dict[str, str]:
    """The environment variables that every process of a service needs."""
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(service)]),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "BIND": f"127.0.0.1:{port}",
        "LOG_LEVEL": "WARNING",
    }


@dataclass(frozen=True)
class _Running:
    process: Process
    name: str  # of this process: reader2.1 is the first replacement of reader2
    launch: Launch


class Processes:
    """Processes by role, as in reader2. `sleep` and `wait_until` restart those that have ended.

    A process that ends with status 0 is restarted too, unless `may_finish`.
    """

    def __init__(self, *, may_finish: bool = False) -> None:
        self._may_finish = may_finish
        self._running: dict[str, _Running] = {}

    def start(self, role: str, launch: Launch) -> None:
        """Start the process of a role."""
        self._running[role] = _Running(launch(role), role, launch)

    def roles(self, *prefixes: str) -> list[str]:
        """The roles whose names begin with one of these."""
        return [role for role in self._running if role.startswith(prefixes)]

    def pids(self) -> dict[str, int]:
        """The process id of each role."""
        return {role: running.process.pid for role, running in self._running.items()}

    def are_running(self, prefix: str) -> bool:
        """Whether a process of such a role has not ended."""
        return any(self._running[role].process.poll() is None for role in self.roles(prefix))

    def kill(self, role: str) -> None:
        """SIGKILL the process, and start another one."""
        self._running[role].process.send_signal(signal.SIGKILL)
        self._restart(role)

    def pause(self, role: str, seconds: float) -> None:
        """SIGSTOP the process for so long."""
        running = self._running[role]
        running.process.send_signal(signal.SIGSTOP)
        self.sleep(seconds)
        running.process.send_signal(signal.SIGCONT)

    def sleep(self, seconds: float) -> None:
        """Sleep, and restart what ends meanwhile."""
        self.wait_until(lambda: False, seconds)

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether the condition holds within so many seconds. Restarts what ends meanwhile."""
        deadline = time.monotonic() + timeout
        while not condition():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(_TURN, remaining))
            for role, running in list(self._running.items()):
                status = running.process.poll()
                if status is not None and not (status == 0 and self._may_finish):
                    self._restart(role)
        return True

    def join(self, timeout: float) -> list[str]:
        """Wait for all processes to end, and kill the others; the names of those that failed."""
        deadline = time.monotonic() + timeout
        failed = [
            running.name
            for running in self._running.values()
            if not _ends_well(running.process, max(0.0, deadline - time.monotonic()))
        ]
        self._running.clear()
        return failed

    def terminate(self, timeout: float) -> list[str]:
        """SIGTERM all processes, and `join`."""
        for running in self._running.values():
            running.process.send_signal(signal.SIGTERM)
        return self.join(timeout)

    def _restart(self, role: str) -> None:
        running = self._running[role]
        running.process.wait()
        number = int(running.name.partition(".")[2] or 0)
        name = f"{role}.{number + 1}"
        self._running[role] = _Running(running.launch(name), name, running.launch)


def _ends_well(process: Process, timeout: float) -> bool:
    try:
        return process.wait(timeout) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False
