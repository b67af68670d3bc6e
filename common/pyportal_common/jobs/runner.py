"""Runs jobs in the threads of a worker: claims a job, calls its handler, records the outcome."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from dramatiq.middleware.time_limit import TimeLimitExceeded
from sqlalchemy.exc import SQLAlchemyError

from .errors import Cancelled, JobFailed, LeaseLost, RunReleased
from .metrics import WorkerMetrics
from .run import Run
from .store import Jobs, too_long

logger = logging.getLogger(__name__)

JobHandler = Callable[[Run[Any]], None]

_RENEWALS = 3  # per lease
STUCK_SECONDS = 30.0  # past the time limit: no exception reaches the thread


class JobRunner:
    """Runs jobs, each in the thread that calls `do`; another thread renews their leases.

    `is_stuck` becomes true when a job has exceeded its time limit by `stuck_seconds`.
    """

    def __init__(
        self,
        jobs: Jobs[Any],
        handler: JobHandler,
        metrics: WorkerMetrics | None = None,
        *,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self.jobs = jobs
        self.is_stuck = False
        self._handler = handler
        self._metrics = metrics or WorkerMetrics(None)
        self._stuck_seconds = stuck_seconds
        self._running: dict[str, Run[Any]] = {}  # by token: a job may run twice
        self._stop_at: float | None = None
        self._closing = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="job-leases", daemon=True)

    def start(self) -> None:
        """Start renewing leases."""
        self._renewer.start()

    def stop_within(self, seconds: float) -> None:
        """Release running jobs at their first checkpoint after this time."""
        self._stop_at = time.monotonic() + seconds

    def close(self, timeout_seconds: float | None = None) -> None:
        """Stop renewing leases."""
        self._closing.set()
        self._renewer.join(timeout_seconds)

    def do(self, job_id: int) -> None:
        """Run a job, if it is still waiting and due."""
        try:
            claim = self.jobs.claim(job_id)
        except (SQLAlchemyError, TimeLimitExceeded) as error:  # the sweeper sends it again
            logger.warning("Job %d was not claimed: %r", job_id, error)
            return
        if claim is None:
            return
        run = Run(self.jobs, claim, self._must_stop)
        self._running[claim.token] = run
        self._metrics.running.inc()
        outcome = "error"
        try:
            outcome = self._attempt(run)
        except LeaseLost:
            outcome = "lease lost"
            logger.warning("Job %d went to another worker", job_id)
        except (SQLAlchemyError, TimeLimitExceeded) as error:  # the sweeper recovers it
            logger.error("The outcome of job %d was not recorded: %r", job_id, error)
        finally:
            self._running.pop(claim.token, None)
            self._metrics.running.dec()
            self._metrics.ended(self.jobs.type_of(run.job), outcome, time.monotonic() - run.began)

    def _attempt(self, run: Run[Any]) -> str:
        """Run the handler and record the outcome, which is returned. Raises LeaseLost."""
        try:
            self._handler(run)
            if not run.finished:
                name = self.jobs.type_of(run.job)
                raise RuntimeError(f"the handler of {name} returned without ending the run")
        except BaseException as error:
            if not run.finished:
                return self._end(run, error)
            logger.warning(
                "Job %d is done, but then its handler failed", run.job.id, exc_info=error
            )
        return "done"

    def _end(self, run: Run[Any], error: BaseException) -> str:
        states = run.job.STATES
        ending: AbstractContextManager[Any]
        match error:
            case JobFailed():
                outcome, ending = "failed", run.end(states.failed, str(error))
            case Cancelled():
                outcome, ending = "cancelled", run.end(states.cancelled, str(error) or None)
            case RunReleased():
                outcome, ending = "handed back", run.postpone(0)
            case TimeLimitExceeded():
                limit = self.jobs.time_limit(run.job)
                outcome, ending = "too long", run.end(states.failed, too_long(limit))
            case Exception() if not isinstance(error, LeaseLost):
                job = run.job
                logger.error("Attempt %d of job %d failed", job.attempts, job.id, exc_info=error)
                outcome, ending = "error", run.retry_later("Something unexpected went wrong")
            case _:
                raise error
        with ending:
            return outcome

    def _must_stop(self) -> bool:
        return self._stop_at is not None and time.monotonic() > self._stop_at

    def _renew(self) -> None:
        """Renew the leases of running jobs that have not exceeded their time limit."""
        while not self._closing.wait(self.jobs.lease_seconds / _RENEWALS):
            runs = list(self._running.values())
            try:
                self.jobs.renew([run.claim for run in runs if self._may_continue(run)])
            except SQLAlchemyError as error:
                logger.warning("Leases were not renewed: %s", error)
            except Exception:
                logger.exception("Leases were not renewed")

    def _may_continue(self, run: Run[Any]) -> bool:
        excess = time.monotonic() - run.began - self.jobs.time_limit(run.job)
        if excess > self._stuck_seconds and not self.is_stuck:
            logger.error("Job %d does not end: the worker restarts", run.job.id)
            self.is_stuck = True
        return excess < self.jobs.lease_seconds
