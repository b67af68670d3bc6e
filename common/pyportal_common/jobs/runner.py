"""What a thread of a worker does with a job: claim it, have it done, write down how it ended."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from dramatiq.middleware.time_limit import TimeLimitExceeded
from sqlalchemy.exc import SQLAlchemyError

from .errors import Cancelled, JobFailed, LeaseLost, RunReleased
from .metrics import WorkerMetrics
from .run import Run
from .store import Jobs, too_long

logger = logging.getLogger(__name__)

JobHandler = Callable[[Run[Any]], None]

_RENEWALS = 3  # in the time that a lease lives
_UNMOVED = 30.0  # seconds past its limit: the thread is stuck where no exception reaches it


class JobRunner:
    """Does jobs, each in the thread that calls `do`; a thread of its own keeps their claims."""

    def __init__(
        self,
        jobs: Jobs[Any],
        perform: JobHandler,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self.jobs = jobs
        self._perform = perform
        self._metrics = metrics or WorkerMetrics(None)
        self._running: dict[str, Run[Any]] = {}  # by token: a job may be here twice
        self._stop_at: float | None = None
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="job-keeper", daemon=True)
        self.is_stuck = False

    def start(self) -> None:
        """Keep the claims from now on."""
        self._keeper.start()

    def stop_within(self, seconds: float) -> None:
        """Have jobs handed back at the first checkpoint after that."""
        self._stop_at = time.monotonic() + seconds

    def close(self, timeout_seconds: float | None = None) -> None:
        """Keep them no longer."""
        self._closing.set()
        self._keeper.join(timeout_seconds)

    def do(self, job_id: int) -> None:
        """One job, if it is still to be done."""
        try:
            claim = self.jobs.claim(job_id)
        except (SQLAlchemyError, TimeLimitExceeded) as error:  # it is sent again
            logger.warning("Job %d is not claimed: %r", job_id, error)
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
        except (SQLAlchemyError, TimeLimitExceeded) as error:  # the sweeper sees to it
            logger.error("How job %d ended could not be written: %r", job_id, error)
        finally:
            self._running.pop(claim.token, None)
            self._metrics.running.dec()
            self._metrics.ended(self.jobs.type_of(run.job), outcome, time.monotonic() - run.began)

    def _attempt(self, run: Run[Any]) -> str:
        """Run it and write down how that ended; one word for it. Raises LeaseLost."""
        try:
            self._perform(run)
            if not run.finished:
                raise RuntimeError(f"{self.jobs.type_of(run.job)} has returned without `finish`")
        except BaseException as error:
            if run.finished:  # whatever came after that
                logger.warning("Job %d is done, but not all after it", run.job.id, exc_info=error)
                return "done"
            return self._end(run, error)
        return "done"

    def _end(self, run: Run[Any], error: BaseException) -> str:
        """Write down how an attempt ended that did not end well."""
        states = run.job.STATES
        match error:
            case JobFailed():
                self.jobs.end(run.claim, states.failed, str(error))
                return "failed"
            case Cancelled():
                self.jobs.end(run.claim, states.cancelled, str(error) or None)
                return "cancelled"
            case RunReleased():
                self.jobs.release(run.claim)
                return "handed back"
            case TimeLimitExceeded():
                self.jobs.end(run.claim, states.failed, too_long(self.jobs.time_limit(run.job)))
                return "too long"
            case LeaseLost():
                raise error
            case Exception():
                job = run.job
                logger.error("Attempt %d of job %d failed", job.attempts, job.id, exc_info=error)
                self.jobs.retry_later(run.claim, "Something unexpected went wrong")
                return "error"
            case _:
                raise error

    def _must_stop(self) -> bool:
        return self._stop_at is not None and time.monotonic() > self._stop_at

    def _keep(self) -> None:
        """Renew the leases of what runs, as long as it may."""
        while not self._closing.wait(self.jobs.lease_seconds / _RENEWALS):
            claims = [run.claim for run in list(self._running.values()) if self._may_go_on(run)]
            try:
                self.jobs.renew(claims)
            except SQLAlchemyError as error:
                logger.warning("Leases are not renewed: %s", error)
            except Exception:
                logger.exception("Leases are not renewed this time")

    def _may_go_on(self, run: Run[Any]) -> bool:
        over = time.monotonic() - run.began - self.jobs.time_limit(run.job)
        if over > _UNMOVED and not self.is_stuck:
            logger.error("Job %d does not end: the worker starts anew", run.job.id)
            self.is_stuck = True
        return over < self.jobs.lease_seconds
