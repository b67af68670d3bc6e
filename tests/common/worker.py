"""A worker that does deeds, as a program: python -m tests.common.doer URL_OF_THE_DATABASE.

A second argument is how many seconds it waits for what does not move.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from dramatiq.middleware.threading import raise_thread_exception
from dramatiq.middleware.time_limit import TimeLimitExceeded

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import (
    JobFailed,
    JobQueue,
    QueueSettings,
    Run,
    WorkerSettings,
    run_worker,
    worker,
)
from common.pyportal_common.jobs import runner as runner

from .deeds import Deed, jobs_of, leave_effect


def _finish(run: Run[Deed]) -> None:
    with run.finish() as (tx, deed):
        leave_effect(tx, deed.id, str(os.getpid()))


def brief(run: Run[Deed]) -> None:
    """A twentieth of a second."""
    time.sleep(0.05)
    _finish(run)


def pause(run: Run[Deed]) -> None:
    """A second without a checkpoint."""
    time.sleep(1)
    _finish(run)


def slow(run: Run[Deed]) -> None:
    """Two seconds, with checkpoints."""
    for number in range(20):
        time.sleep(0.1)
        run.checkpoint(5 * number)
    _finish(run)


def poison(_: Run[Deed]) -> None:
    """Take the process down."""
    os.kill(os.getpid(), signal.SIGKILL)


def doze(_: Run[Deed]) -> None:
    """Sleep for long, in small pieces."""
    for _turn in range(6000):
        time.sleep(0.01)


def spin(_: Run[Deed]) -> None:
    """Be busy for long."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass


def hang(_: Run[Deed]) -> None:
    """One long call, into which no exception gets."""
    time.sleep(60)


def stumble(_: Run[Deed]) -> None:
    """Raise what nobody expects."""
    raise ZeroDivisionError


def refuse(_: Run[Deed]) -> None:
    """Fail for a reason."""
    raise JobFailed("It rains")


def forget(_: Run[Deed]) -> None:
    """Return, and not say that it is done."""


def end_late(run: Run[Deed]) -> None:
    """Be done, and have a time limit come right after that."""
    _finish(run)
    thread = threading.get_ident()
    threading.Timer(0.5, raise_thread_exception, (thread, TimeLimitExceeded)).start()


def fail_late(run: Run[Deed]) -> None:
    """Be done, and raise something then."""
    _finish(run)
    raise ZeroDivisionError


_OTHERS = (brief, pause, slow, poison, doze, spin, hang)
_ODD = (stumble, refuse, forget, end_late, fail_late)
KINDS: dict[str, Callable[[Run[Deed]], None]] = {
    "ok": _finish,
    **{kind.__name__: kind for kind in (*_OTHERS, *_ODD)},
}


def main() -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    if len(sys.argv) > 2:
        runner._UNMOVED = worker._SHUTDOWN_GRACE_SECONDS = float(sys.argv[2])
    settings = WorkerSettings.load()
    database = Database(sys.argv[1], pool_size=settings.worker_threads + 3)
    jobs = jobs_of(
        database,
        attempts=settings.job_attempts,
        lease_seconds=settings.job_lease_seconds,
        resend_seconds=settings.job_resend_seconds,
    )
    run_worker(
        JobQueue("deeds", QueueSettings.load()),
        [(jobs, lambda run: KINDS[run.job.kind](run))],
        settings=settings,
    )
    database.close()


if __name__ == "__main__":
    main()
