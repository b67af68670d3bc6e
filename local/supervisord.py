"""supervisord for `make run`, `python -m local.supervisord`: it does not outlive its parent.

When the process PORTAL_PARENT ends in any way, it stops its processes in order and ends. When Redis
fails, it leaves a file for `redis_start.py`.
"""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from supervisor import events, supervisord  # type: ignore[import-untyped]

from .child import PARENT, hold_lock
from .redis_start import FAILED

_POLL_SECONDS = 0.25


class _Supervisor(supervisord.Supervisor):  # type: ignore[misc]  # it has no types
    """Notes each exit of Redis with an error, and each within its first second."""

    def runforever(self) -> None:
        """Run. `run` has removed all subscribers before."""
        Path(FAILED).unlink(missing_ok=True)  # `make run` has checked the data
        events.subscribe(events.ProcessStateExitedEvent, _note_failure)
        events.subscribe(events.ProcessStateBackoffEvent, _note_failure)
        super().runforever()


def _note_failure(event: events.ProcessStateEvent) -> None:
    status = event.process.exitstatus  # None within the first second, -1 after a signal
    if event.process.config.name == "redis" and (status is None or status > 0):
        with contextlib.suppress(OSError):  # such as a full disk: the next failure is noted
            Path(FAILED).write_text("" if status is None else str(status), "utf-8")


def main() -> None:
    """Run supervisord with the supervisord.conf of the working directory."""
    hold_lock()
    parent = int(os.environ[PARENT])
    os.environ[PARENT] = str(os.getpid())  # for its processes
    threading.Thread(target=_stop_after, args=(parent,), daemon=True).start()
    supervisord.Supervisor = _Supervisor  # the class that its main() creates
    supervisord.main(["-c", "supervisord.conf"])


def _stop_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)  # as `make run` does: Redis stops last


if __name__ == "__main__":
    main()
