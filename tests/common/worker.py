"""A worker for operations: python -m tests.common.worker DATABASE_URL STUCK_SECONDS."""

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
)

from .operations import Operation, add_effect, jobs_of


def ok(run: Run[Operation]) -> None:
    """Finish at once."""
    with run.finish() as (tx, operation):
        add_effect(tx, operation.id, str(os.getpid()))


def short(run: Run[Operation]) -> None:
    """Take a twentieth of a second."""
    time.sleep(0.05)
    ok(run)


def pause(run: Run[Operation]) -> None:
    """Take a second, without a checkpoint."""
    time.sleep(1)
    ok(run)


def slow(run: Run[Operation]) -> None:
    """Take two seconds, with checkpoints."""
    for number in range(20):
        time.sleep(0.1)
        run.checkpoint(5 * number)
    ok(run)


def crash(_: Run[Operation]) -> None:
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(_: Run[Operation]) -> None:
    """Sleep for a minute, in short calls."""
    for _turn in range(6000):
        time.sleep(0.01)


def spin(_: Run[Operation]) -> None:
    """Compute for a minute."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass


def hang(_: Run[Operation]) -> None:
    """Sleep for a minute in one call, which no exception interrupts."""
    time.sleep(60)


def raise_error(_: Run[Operation]) -> None:
    """Raise an unexpected error."""
    raise ZeroDivisionError


def fail(_: Run[Operation]) -> None:
    """Fail with a reason."""
    raise JobFailed("It rains")


def do_nothing(_: Run[Operation]) -> None:
    """Return without ending the run."""


def end_late(run: Run[Operation]) -> None:
    """Finish, and get a time limit right after that."""
    ok(run)
    thread = threading.get_ident()
    threading.Timer(0.5, raise_thread_exception, (thread, TimeLimitExceeded)).start()


def fail_late(run: Run[Operation]) -> None:
    """Finish, and then raise an error."""
    ok(run)
    raise ZeroDivisionError


_PLAIN = (ok, short, pause, slow, crash, sleep, spin, hang)
_FAULTY = (raise_error, fail, do_nothing, end_late, fail_late)
KINDS: dict[str, Callable[[Run[Operation]], None]] = {
    kind.__name__: kind for kind in (*_PLAIN, *_FAULTY)
}


def main() -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    url, seconds = sys.argv[1], float(sys.argv[2])
    settings = WorkerSettings.load()
    database = Database(url, pool_size=settings.worker_threads + 3)
    jobs = jobs_of(
        database,
        attempts=settings.job_attempts,
        lease_seconds=settings.job_lease_seconds,
        resend_seconds=settings.job_resend_seconds,
    )
    run_worker(
        JobQueue("operations", QueueSettings.load()),
        [(jobs, lambda run: KINDS[run.job.kind](run))],
        settings=settings,
        stuck_seconds=seconds,
        shutdown_grace_seconds=seconds,
    )
    database.close()


if __name__ == "__main__":
    main()
