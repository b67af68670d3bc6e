"""Whether a service's jobs are run: what /health and /metrics say about them."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from ..db import Database, Transaction
from .heartbeats import KEPT_FOR, WORKERS
from .models import JobRow
from .outbox import OutboxMessage, count_failed
from .pauses import Pauses
from .reports import JobsReport
from .worker_reports import WorkerReport

logger = logging.getLogger(__name__)

_CACHED_SECONDS = 1.0
_MAX_COUNTED = 10_000
_WORKERS = select(WORKERS.c.host, WORKERS.c.pid, WORKERS.c.beat_at, WORKERS.c.report)


class Kind(Protocol):
    """A kind of job, as `Jobs` and outboxes are."""

    @property
    def kind(self) -> str:
        """Its name."""

    @property
    def model(self) -> type[JobRow]:
        """Its rows."""


class JobsMonitor(Collector):
    """Reports on the jobs of a service from SQL, at most once a second in each process.

    A report is three indexed statements for each kind of job, one for the workers, one for the
    paused kinds, and one for the outbox.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Kind],
        *,
        silent_seconds: float,
        late_seconds: float,
        pauses: Pauses | None = None,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._pauses = pauses or Pauses(database)
        self._silent = timedelta(seconds=silent_seconds)
        self._late_seconds = late_seconds
        self._lock = threading.Lock()
        self._report: JobsReport | None = None
        self._until = 0.0

    def report(self) -> JobsReport:
        """The report of the last second. Raises SQLAlchemyError."""
        with self._lock:
            if self._report is None or time.monotonic() >= self._until:
                self._report = self._read()
                self._until = time.monotonic() + _CACHED_SECONDS
            return self._report

    def report_or_none(self) -> JobsReport | None:
        """The same; None while SQL does not answer."""
        try:
            return self.report()
        except SQLAlchemyError as error:
            logger.debug("The jobs were not checked: %s", error)
            return None

    def states(self) -> dict[str, str]:
        """The checks of /health: "ok", or what is wrong. None while SQL does not answer."""
        report = self.report_or_none()
        if report is None:
            return {}
        states = {"workers": _state_of_workers(report), "jobs": "paused" if report.paused else "ok"}
        if max(report.oldest_due_seconds.values(), default=0) > self._late_seconds:
            states["jobs"] = "late"
        if any(issubclass(jobs.model, OutboxMessage) for jobs in self._kinds):
            states["messages"] = "refused" if report.failed_messages else "ok"
        return states

    def collect(self) -> Iterator[Metric]:
        """The metrics of the report. None while SQL does not answer."""
        report = self.report_or_none()
        if report is not None:
            yield from report.metrics()

    def _read(self) -> JobsReport:
        now = datetime.now(UTC)
        paused = self._pauses()
        failed_messages: dict[str, int] = {}
        with self._database.read() as tx:
            workers = tx.execute(_WORKERS.where(WORKERS.c.beat_at >= now - KEPT_FOR)).all()
            oldest = {
                each.kind: 0.0 if each.kind in paused else due_for(tx, each.model, now)
                for each in self._kinds
            }
            jobs = {
                (each.kind, state): number
                for each in self._kinds
                for state, number in _count(tx, each.model, now).items()
            }
            for each in self._kinds:
                if issubclass(each.model, OutboxMessage):
                    failed_messages |= count_failed(tx, each.model)
        alive = [
            WorkerReport.parse(f"{row.host}:{row.pid}", row.report)
            for row in workers
            if row.beat_at >= now - self._silent
        ]
        silent = [f"{row.host}:{row.pid}" for row in workers if row.beat_at < now - self._silent]
        return JobsReport(len(alive), silent, oldest, paused, failed_messages, alive, jobs)


def due_for(tx: Transaction, model: type[JobRow], now: datetime) -> float:
    due_at = model.due_at
    oldest = tx.scalar(select(func.min(due_at)).where(due_at <= now))
    return 0.0 if oldest is None else (now - oldest).total_seconds()


def _count(tx: Transaction, model: type[JobRow], now: datetime) -> dict[str, int]:
    """How many jobs are due, delayed, running, and failed. Two statements, with indexes.

    A message that is being sent counts as delayed: `due_at` is the end of its lease. Failed ones
    are counted by their receivers.
    """
    conditions = {"due": model.due_at <= now, "delayed": model.due_at > now}
    if not issubclass(model, OutboxMessage):
        conditions["running"] = model.lease_until.is_not(None)
    counts = [
        _bounded_count(model, condition).scalar_subquery() for condition in conditions.values()
    ]
    found = dict(zip(conditions, tx.execute(select(*counts)).one(), strict=True))
    if not issubclass(model, OutboxMessage):
        failed = _bounded_count(model, model.status == model.STATES.failed)
        found["failed"] = tx.scalar(failed) or 0
    return found


def _bounded_count(model: type[JobRow], condition: ColumnElement[bool]) -> Select[int]:
    some = select(model.id).where(condition).limit(_MAX_COUNTED).subquery()
    return select(func.count()).select_from(some)


def _state_of_workers(report: JobsReport) -> str:
    if report.silent_workers:
        return "silent"
    return "ok" if report.workers else "none"
