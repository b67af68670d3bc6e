"""The processes of a run: gunicorn and the workers, each replaced when it ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from .setting import LEASE_SECONDS, ROOT, SERVICE, Setting

_LOOK_EVERY = 0.05  # seconds
_END = 15.0  # seconds that an end by SIGTERM may take


class Processes:
    """By name: web, worker0, worker1, and what else is needed. Their output is in the folder."""

    def __init__(self, setting: Setting, variables: dict[str, str]) -> None:
        self._folder = setting.folder
        self._variables = {**os.environ, **_settings(), **setting.variables(), **variables}
        self._running: dict[str, tuple[subprocess.Popen[bytes], list[str]]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def start_web(self, service: Path = SERVICE) -> None:
        """gunicorn, as the service configures it."""
        configuration = str(service / "gunicorn.conf.py")
        self._start("web", ["-m", "gunicorn", "-c", configuration, "chaos.wsgi:application"])

    def start_worker(self, number: int) -> None:
        """One process of workers."""
        self.start(f"worker{number}", "chaos.worker")

    def start(self, name: str, module: str) -> None:
        """Another process."""
        self._start(name, ["-m", module])

    def kill(self, name: str) -> None:
        """SIGKILL. Another takes its place."""
        self._signal(name, signal.SIGKILL)

    def stop(self, name: str) -> int:
        """SIGSTOP: it hangs, until `go_on` with what this returns."""
        with self._lock:
            process = self._running[name][0]
            process.send_signal(signal.SIGSTOP)
            return process.pid

    def go_on(self, name: str, pid: int) -> None:
        """SIGCONT, unless another has taken its place."""
        with self._lock:
            process = self._running[name][0]
            if process.pid == pid:
                process.send_signal(signal.SIGCONT)

    def close(self) -> list[str]:
        """End all of them by SIGTERM; those that did not end well."""
        self._closing.set()
        self._supervisor.join()
        for process, _ in self._running.values():
            process.terminate()
        return [name for name, (process, _) in self._running.items() if not _ends_well(process)]

    def _start(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self._folder,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running[name] = process, command

    def _supervise(self) -> None:
        while not self._closing.wait(_LOOK_EVERY):
            with self._lock:
                for name, (process, command) in list(self._running.items()):
                    if process.poll() is not None:
                        self._start(name, command)

    def _signal(self, name: str, which: signal.Signals) -> None:
        with self._lock:
            self._running[name][0].send_signal(which)


def _settings() -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(SERVICE)]),
        "LOG_LEVEL": "WARNING",
        "WORKER_THREADS": "4",
        "WORKER_GRACE_SECONDS": "5",
        "JOB_LEASE_SECONDS": str(LEASE_SECONDS),
        "JOB_RESEND_SECONDS": "2",
        "RATE_LIMIT_TASKS": "100000/60",
    }


def _ends_well(process: subprocess.Popen[bytes]) -> bool:
    try:
        return process.wait(_END) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
