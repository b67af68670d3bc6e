"""Runs claimed jobs in the threads of a worker: calls the handler, records the outcome."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisLayerError
from ..spans import attempt
from .metrics import WorkerMetrics
from .outages import SqlOutages, is_outage_of_sql
from .outcomes import LeaseLost, Outcome
from .run import Run
from .store import Claim, Jobs

logger = logging.getLogger(__name__)

JobHandler = Callable[[Run[Any]], None]

_RENEWALS = 3  # per lease
_EXPECTED = frozenset({"done", "retry", "later", "cancelled"})  # the others are errors
STUCK_SECONDS = 30.0  # past the time limit: the thread may never come back


class JobRunner:
    """Runs jobs, each in the thread that calls `do`; another thread renews their leases.

    `is_stuck` becomes true when the thread of a job has exceeded its time limit by `stuck_seconds`.
    """

    def __init__(
        self,
        jobs: Jobs[Any],
        handler: JobHandler,
        metrics: WorkerMetrics | None = None,
        *,
        outages: SqlOutages | None = None,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self.jobs = jobs
        self.is_stuck = False
        self._handler = handler
        self._metrics = metrics or WorkerMetrics(None)
        self._outages = outages or SqlOutages()
        self._stuck_seconds = stuck_seconds
        self._running: dict[str, Run[Any]] = {}  # by claim: a job may run twice
        self._stop_at: float | None = None
        self._closing = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="job-leases", daemon=True)

    def start(self) -> None:
        """Start renewing leases."""
        self._renewer.start()

    def stop_within(self, seconds: float) -> None:
        """Hand running jobs back at their first step after this time."""
        self._stop_at = time.monotonic() + seconds

    def close(self, timeout_seconds: float | None = None) -> None:
        """Stop renewing leases."""
        self._closing.set()
        if self._renewer.is_alive():
            self._renewer.join(timeout_seconds)

    def do(self, claim: Claim[Any]) -> None:
        """Run a job. The attempt is a span."""
        row = claim.row
        with attempt(
            f"attempt {self.jobs.kind}",
            {"pyportal.job.id": row.id},
            kind="consumer",
            cause=row.traceparent,
            number=row.attempts,
        ) as span:
            outcome = self._do(claim)
            span.set("pyportal.job.outcome", outcome)
            if outcome not in _EXPECTED:
                span.fail()

    def _do(self, claim: Claim[Any]) -> str:
        """Run a job, and return the name of its outcome."""
        run = Run(self.jobs, claim, self._must_stop)
        self._running[claim.token + str(claim.row.id)] = run
        self._metrics.running.inc()
        outcome = "error"
        try:
            outcome = self._attempt(run)
        except LeaseLost:
            is_late = time.monotonic() > run.deadline
            outcome = "too long" if is_late else "lease lost"
            if not is_late:
                logger.warning("Job %d went to another worker", run.claim.row.id)
        except SQLAlchemyError as error:  # the sweeper recovers it
            self._outages.note(error, "The outcome of a job was not recorded")
        except Exception:  # likewise: the thread goes on with other jobs
            logger.exception("The outcome of job %d was not recorded", run.claim.row.id)
        finally:
            del self._running[claim.token + str(claim.row.id)]
            self._metrics.running.dec()
            took = time.monotonic() - run.began
            self._metrics.ended(self.jobs.type_of(claim.row), outcome, took)
        return outcome

    def hand_back(self, claim: Claim[Any]) -> None:
        """Return a job that was claimed and not begun."""
        try:
            with Run(self.jobs, claim).transaction(Outcome.later()):
                pass
        except (LeaseLost, SQLAlchemyError, RedisLayerError) as error:  # the sweeper recovers it
            logger.debug("Job %d was not handed back: %s", claim.row.id, error)

    def _attempt(self, run: Run[Any]) -> str:
        """Run the handler and record the outcome, whose name is returned. Raises LeaseLost."""
        try:
            self._handler(run)
            if run.outcome is None:
                name = self.jobs.type_of(run.claim.row)
                raise RuntimeError(f"the handler of {name} returned without ending the run")
        except BaseException as error:
            if run.outcome is None:
                return self._end(run, error)
            logger.warning(
                "Job %d has ended, but then its handler failed", run.job.id, exc_info=error
            )
        return run.outcome.name

    def _end(self, run: Run[Any], error: BaseException) -> str:
        """End the attempt by the outcome that the handler raised, or try again after an error."""
        outcome, name = error, "error"
        if isinstance(error, Outcome):
            name = "too long" if time.monotonic() > run.deadline else error.name
        elif isinstance(error, LeaseLost) or is_outage_of_sql(error):
            raise error
        elif isinstance(error, Exception):
            row = run.claim.row
            logger.error("Attempt %d of job %d failed", row.attempts, row.id, exc_info=error)
            outcome = Outcome.retry("Something unexpected went wrong")
        if not isinstance(outcome, Outcome):
            raise error
        try:
            with run.transaction(outcome):
                return name
        except Outcome as ending:  # it was cancelled, or it is too late for `done`
            return self._end(run, ending)

    def _must_stop(self) -> bool:
        return self._stop_at is not None and time.monotonic() > self._stop_at

    def _renew(self) -> None:
        while not self._closing.wait(self.jobs.lease_seconds / _RENEWALS):
            try:
                self.renew()
            except SQLAlchemyError as error:
                self._outages.note(error, "Leases were not renewed")
            except Exception:
                logger.exception("Leases were not renewed")

    def renew(self) -> None:
        """Renew the leases of running jobs, and fail those that exceeded their time limits.

        Raises SQLAlchemyError.
        """
        now, runs = time.monotonic(), list(self._running.values())
        for run in runs:
            if now > run.deadline + self._stuck_seconds and not self.is_stuck:
                logger.error("Job %d does not end: the worker restarts", run.claim.row.id)
                self.is_stuck = True
        self.jobs.renew([run.claim for run in runs if now <= run.deadline])
        self.jobs.expire([run.claim for run in runs if now > run.deadline])
