"""supervisord for `make run`, `python -m local.supervisord`: it does not outlive its parent.

When the process PORTAL_PARENT ends in any way, it stops its processes in order and ends. When Redis
fails, it leaves a file for `redis_start.py`. Its Python programs are forks of it: see `forked.py`.
"""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from supervisor import events, options, supervisord  # type: ignore[import-untyped]

from .child import PARENT, end_with_parent, hold_lock
from .forked import can_fork, import_packages, run_in_fork
from .redis_start import FAILED


class _Options(options.ServerOptions):  # type: ignore[misc]  # it has no types
    """Starts processes."""

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> Any:
        """Called in a fork."""
        if can_fork(argv):
            run_in_fork(argv, env)
        super().execve(filename, argv, env)


class _Supervisor(supervisord.Supervisor):  # type: ignore[misc]  # it has no types
    """Notes each exit of Redis with an error, and each within its first second."""

    def runforever(self) -> None:
        """Run. `run` has removed all subscribers before."""
        Path(FAILED).unlink(missing_ok=True)  # `make run` has checked the data
        events.subscribe(events.ProcessStateExitedEvent, _note_failure)
        events.subscribe(events.ProcessStateBackoffEvent, _note_failure)
        events.subscribe(events.ProcessStateExitedEvent, _end_the_rest)
        super().runforever()


def _note_failure(event: events.ProcessStateEvent) -> None:
    status = event.process.exitstatus  # None within the first second, -1 after a signal
    if event.process.config.name == "redis" and (status is None or status > 0):
        with contextlib.suppress(OSError):  # such as a full disk: the next failure is noted
            Path(FAILED).write_text("" if status is None else str(status), "utf-8")


def _end_the_rest(event: events.ProcessStateEvent) -> None:
    """End the workers of a gunicorn that was killed, which would use the files of the next one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(event.process.pid, signal.SIGKILL)  # each program leads a group of its own


def main() -> None:
    """Run supervisord with the supervisord.conf of the working directory."""
    hold_lock()
    end_with_parent(int(os.environ[PARENT]))  # by SIGTERM, as `make run` does: Redis stops last
    os.environ[PARENT] = str(os.getpid())  # for its processes
    import_packages()
    supervisord.Supervisor = _Supervisor  # the classes that its main() creates
    supervisord.ServerOptions = _Options
    supervisord.main(["-c", "supervisord.conf"])


if __name__ == "__main__":
    main()
