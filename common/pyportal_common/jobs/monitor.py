"""Whether a service's jobs are run: what /health and /metrics say about them."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from prometheus_client import Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from ..db import Database, Transaction, UtcDateTime
from .heartbeats import KEPT_FOR, WORKERS
from .models import MAX_COUNTED, JobRow
from .outbox import OutboxMessage, count_failed
from .pauses import Pauses
from .reports import JobsReport
from .worker_reports import WorkerReport

logger = logging.getLogger(__name__)

_CACHED_SECONDS = 1.0
_NOW = bindparam("now", type_=UtcDateTime())
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

    A report is four statements, all with indexes: the jobs of all kinds, the workers, the paused
    kinds, and the outbox.
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
        self._counts = {
            (each.kind, state): counted
            for each in kinds
            for state, counted in _counts(each.model).items()
        }
        oldest = [_oldest_due(each.model) for each in kinds]
        columns: list[ScalarSelect[Any]] = [*oldest, *self._counts.values()]
        self._statement = select(*columns)
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
        now = self._database.now()
        paused = self._pauses()
        failed_messages: dict[str, int] = {}
        with self._database.read() as tx:
            workers = tx.execute(_WORKERS.where(WORKERS.c.beat_at >= now - KEPT_FOR)).all()
            found = tx.execute(self._statement, {"now": now}).one()
            for each in self._kinds:
                if issubclass(each.model, OutboxMessage):
                    failed_messages |= count_failed(tx, each.model)
        alive = [
            WorkerReport.parse(f"{row.host}:{row.pid}", row.report)
            for row in workers
            if row.beat_at >= now - self._silent
        ]
        silent = [f"{row.host}:{row.pid}" for row in workers if row.beat_at < now - self._silent]
        oldest = {
            each.kind: 0.0 if each.kind in paused else _seconds_since(due_at, now)
            for each, due_at in zip(self._kinds, found, strict=False)
        }
        jobs = dict(zip(self._counts, found[len(self._kinds) :], strict=True))
        return JobsReport(len(alive), silent, oldest, paused, failed_messages, alive, jobs)


def due_for(tx: Transaction, model: type[JobRow], now: datetime) -> float:
    """For how many seconds the oldest job has been due, or 0."""
    return _seconds_since(tx.scalar(select(_oldest_due(model)), {"now": now}), now)


def _seconds_since(due_at: datetime | None, now: datetime) -> float:
    return 0.0 if due_at is None else (now - due_at).total_seconds()


def _oldest_due(model: type[JobRow]) -> ScalarSelect[datetime | None]:
    """When the oldest due job became due. Reads one row of the index.

    PostgreSQL may compute `min` from another index and read all due jobs, if its statistics are
    older than these.
    """
    due_at = model.due_at
    return select(due_at).where(due_at <= _NOW).order_by(due_at).limit(1).scalar_subquery()


def _counts(model: type[JobRow]) -> dict[str, ScalarSelect[int]]:
    """How many jobs are due, delayed, running, and failed.

    A message that is being sent counts as delayed: `due_at` is the end of its lease. Failed ones
    are counted by their receivers.
    """
    conditions = {"due": model.due_at <= _NOW, "delayed": model.due_at > _NOW}
    if not issubclass(model, OutboxMessage):
        conditions["running"] = model.lease_until.is_not(None)
        conditions["failed"] = model.status == model.STATES.failed
    return {state: _bounded_count(model, each) for state, each in conditions.items()}


def _bounded_count(model: type[JobRow], condition: ColumnElement[bool]) -> ScalarSelect[int]:
    some = select(model.id).where(condition).limit(MAX_COUNTED).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _state_of_workers(report: JobsReport) -> str:
    if report.silent_workers:
        return "silent"
    return "ok" if report.workers else "none"
