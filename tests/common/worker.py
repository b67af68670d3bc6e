"""A worker for operations: python -m tests.common.worker DATABASE_URL STUCK_SECONDS.

SWEEP_SECONDS is the time between two sweeps, one second by default. Slow jobs run until
the file HOLD is deleted.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import (
    Hints,
    Outcome,
    Run,
    WorkerSettings,
    run_worker,
    sweeper,
)
from common.pyportal_common.jobs.metrics import WorkerMetrics

from .operations import Operation, add_effect, jobs_of

logger = logging.getLogger(__name__)


def ok(run: Run[Operation]) -> None:
    """Finish at once."""
    with run.transaction(Outcome.done()) as tx:
        add_effect(tx, run.job.id, str(os.getpid()))


def short(run: Run[Operation]) -> None:
    """Take a twentieth of a second."""
    time.sleep(0.05)
    ok(run)


def pause(run: Run[Operation]) -> None:
    """Take a second, without a step."""
    time.sleep(1)
    ok(run)


def slow(run: Run[Operation]) -> None:
    """Take two seconds, in steps, and go on until the file HOLD is deleted."""
    hold, steps = Path(os.environ.get("HOLD", "no such file")), 0
    while steps < 20 or hold.exists():
        time.sleep(0.1)
        with run.transaction(progress=min(5 * steps, 95)):
            pass
        steps += 1
    ok(run)


def crash(_: Run[Operation]) -> None:
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(_: Run[Operation]) -> None:
    """Sleep for two seconds, in short calls."""
    for _turn in range(200):
        time.sleep(0.01)


def spin(_: Run[Operation]) -> None:
    """Compute for two seconds."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        pass


def hang(_: Run[Operation]) -> None:
    """Sleep for a minute in one call, which nothing interrupts."""
    time.sleep(60)


def raise_error(_: Run[Operation]) -> None:
    """Raise an unexpected error."""
    raise ZeroDivisionError


def fail(_: Run[Operation]) -> None:
    """Fail with a reason."""
    raise Outcome.failed("It rains")


def do_nothing(_: Run[Operation]) -> None:
    """Return without ending the run."""


def step_late(run: Run[Operation]) -> None:
    """Exceed a time limit of a second by little, then take a step."""
    time.sleep(1.05)
    with run.transaction():
        pass


def fail_late(run: Run[Operation]) -> None:
    """Finish, and then raise an error."""
    ok(run)
    raise ZeroDivisionError


class Looks:
    """Work beside the jobs that is due at each look."""

    kind = "looks"

    def start(self, metrics: WorkerMetrics) -> None:
        """There is nothing to start."""

    def look(self) -> None:
        """Log it."""
        logger.info("Looked for other work")

    def close(self, seconds: float) -> None:  # noqa: ARG002
        """Log it."""
        logger.info("Looks for no other work")


_PLAIN = (ok, short, pause, slow, crash, sleep, spin, hang)
_FAULTY = (raise_error, fail, do_nothing, step_late, fail_late)
KINDS: dict[str, Callable[[Run[Operation]], None]] = {
    kind.__name__: kind for kind in (*_PLAIN, *_FAULTY)
}


def main() -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    url, seconds = sys.argv[1], float(sys.argv[2])
    sweeper._INTERVAL_SECONDS = float(os.environ.get("SWEEP_SECONDS", "1"))
    settings = WorkerSettings.load()
    database = Database(url, pool_size=settings.worker_threads + 3)
    jobs = jobs_of(
        database,
        attempts=settings.job_attempts,
        lease_seconds=settings.job_lease_seconds,
    )
    run_worker(
        [(jobs, lambda run: KINDS[run.job.kind](run))],
        settings=settings,
        hints=Hints.at(RedisSettings.load(), 0),
        background=[Looks()],
        stuck_seconds=seconds,
        shutdown_grace_seconds=seconds,
    )
    database.close()


if __name__ == "__main__":
    main()
