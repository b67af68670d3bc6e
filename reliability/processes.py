"""The processes of a run: forked from one that has no threads, killed, and replaced."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from .journal import Journal, now

_fork = multiprocessing.get_context("fork")

Start = Callable[[str], Any]  # what a process does, given its name


class Processes:
    """By name, as in reader2; a replacement adds a number, as in reader2.1."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._running: dict[str, tuple[Any, str, Start]] = {}

    def start(self, name: str, target: Start) -> None:
        """Let a process begin."""
        self._start(name, name, target)

    def names(self, prefix: str) -> list[str]:
        """Those that there are."""
        return [name for name in self._running if name.startswith(prefix)]

    def replace(self, name: str) -> None:
        """SIGKILL, wait, and start another in its place."""
        process, called, target = self._running[name]
        process.kill()
        process.join()
        self._journal.note("killed", now(), called)
        stem, _, number = called.partition(".")
        self._start(name, f"{stem}.{int(number or 0) + 1}", target)

    def stop(self, name: str) -> None:
        """SIGSTOP: it hangs, until `go_on`."""
        self._journal.note("stopped", now(), self._running[name][1])
        self._signal(name, signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)
        self._journal.note("continued", now(), self._running[name][1])

    def replace_the_dead(self) -> None:
        """Start others in the place of those that were killed."""
        for name, (process, _, _) in list(self._running.items()):
            if process.exitcode == -signal.SIGKILL:
                self.replace(name)

    def join(self, seconds: float) -> list[str]:
        """Wait until all have ended, and kill those that have not; which these were."""
        until = time.monotonic() + seconds
        late = []
        for process, called, _ in self._running.values():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                late.append(called)
                process.kill()
                process.join()
        self._running.clear()
        return late

    def _signal(self, name: str, which: signal.Signals) -> None:
        process = self._running[name][0]
        if process.is_alive():  # and not waited for: the id is still its own
            os.kill(process.pid, which)

    def _start(self, name: str, called: str, target: Start) -> None:
        process = _fork.Process(target=target, args=(called,), name=called, daemon=True)
        process.start()
        self._running[name] = process, called, target
