"""Workers as processes, and somebody who starts others for those that die."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def await_that(is_so: Callable[[], object], seconds: float = 20) -> None:
    """Return as soon as it is so. AssertionError when it does not come to be."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)


class Crew:
    """`tests.common.doer` as often as wanted, with a log for all.

    What ends unasked is replaced.
    """

    def __init__(self, folder: Path, url: str, **variables: str) -> None:
        self.log = folder / "crew.log"
        self.replaced = 0
        self._command = [sys.executable, "-m", "tests.common.doer", url, "1"]
        self._environment = {**os.environ, **variables}
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise)
        self._supervisor.start()

    def start(self) -> subprocess.Popen[bytes]:
        """One more."""
        before = self.said("The worker runs")
        with self._lock:
            process = self._start()
        await_that(lambda: self.said("The worker runs") > before)
        return process

    def stop(self, process: subprocess.Popen[bytes], seconds: float = 20) -> int:
        """SIGTERM, and its exit status."""
        with self._lock:
            self._running.remove(process)
        process.terminate()
        return process.wait(seconds)

    def said(self, words: str) -> int:
        """How many times workers logged that."""
        return self.log.read_text().count(words) if self.log.exists() else 0

    def close(self) -> None:
        """End all of them."""
        self._closing.set()
        self._supervisor.join()
        for process in self._running:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        self._running.append(process)
        return process

    def _supervise(self) -> None:
        while not self._closing.wait(0.05):
            with self._lock:
                for process in [one for one in self._running if one.poll() is not None]:
                    self._running.remove(process)
                    self.replaced += 1
                    self._start()
