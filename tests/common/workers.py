"""Worker processes under a supervisor."""

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from . import waiting
from .load import ROOT

wait_until = partial(waiting.wait_until, seconds=20)


class Workers:
    """Processes of `tests.common.worker` with a common log. Those that die are replaced."""

    def __init__(self, folder: Path, url: str, **variables: str) -> None:
        self.replaced = 0
        self._log = folder / "workers.log"
        self._hold = folder / "hold"
        self._command = [sys.executable, "-m", "tests.common.worker", url, "1"]
        self._environment = {**os.environ, "HOLD": str(self._hold), **variables}
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise)
        self._supervisor.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start one more."""
        before = self.logged("The worker runs")
        with self._lock:
            process = self._start()
        wait_until(lambda: self.logged("The worker runs") > before)
        return process

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        """Send SIGTERM to one, which is not replaced."""
        with self._lock:
            self._running.remove(process)
        process.terminate()

    def stop(self, process: subprocess.Popen[bytes], seconds: float = 20) -> int:
        """Stop one by SIGTERM, and return its exit status."""
        self.terminate(process)
        return process.wait(seconds)

    def hold(self) -> None:
        """Have slow jobs run until `release`."""
        self._hold.touch()

    def release(self) -> None:
        """Have slow jobs end."""
        self._hold.unlink()

    def logged(self, text: str) -> int:
        """How many times the workers have logged this."""
        return self.log().count(text)

    def log(self) -> str:
        """What the workers have logged."""
        return self._log.read_text() if self._log.exists() else ""

    def close(self) -> None:
        """Kill all of them."""
        self._closing.set()
        self._supervisor.join()
        for process in self._running:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        self._running.append(process)
        return process

    def _supervise(self) -> None:
        while not self._closing.wait(0.05):
            with self._lock:
                for process in [each for each in self._running if each.poll() is not None]:
                    self._running.remove(process)
                    self.replaced += 1
                    self._start()
