"""Whether a service's jobs are run: what /health and /metrics say about them."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from ..db import Database, Transaction
from .heartbeats import KEPT_FOR, WORKERS
from .models import JobRow
from .outbox import OutboxMessage, count_failed
from .pauses import Pauses

logger = logging.getLogger(__name__)

_CACHED_SECONDS = 1.0


class Kind(Protocol):
    """A kind of job, as `Jobs` and outboxes are."""

    @property
    def kind(self) -> str:
        """Its name."""

    @property
    def model(self) -> type[JobRow]:
        """Its rows."""


@dataclass(frozen=True, slots=True)
class JobsReport:
    """The workers and the jobs of a service, at one moment."""

    workers: int
    """Workers with a heartbeat in time."""
    silent_workers: int
    """Workers that stopped beating within the last minutes."""
    oldest_due_seconds: Mapping[str, float]
    """By kind: for how long the oldest job that no worker has started has been due, or 0.

    0 for a paused kind, whose jobs are not to be started.
    """
    paused: frozenset[str]
    """The kinds that are paused, among them schedules."""
    failed_messages: Mapping[str, int]
    """By receiving service: outbox messages that have failed for good. At most 10,000 in all."""


class JobsMonitor(Collector):
    """Reports on the jobs of a service from SQL, at most once a second in each process.

    A report is one indexed statement for each kind of job, one for the workers, one for the paused
    kinds, and one for the outbox.
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

    def states(self) -> dict[str, str]:
        """The checks of /health: "ok", or what is wrong. None while SQL does not answer."""
        try:
            report = self.report()
        except SQLAlchemyError as error:
            logger.debug("The jobs were not checked: %s", error)
            return {}
        states = {"workers": _state_of_workers(report), "jobs": "paused" if report.paused else "ok"}
        if max(report.oldest_due_seconds.values(), default=0) > self._late_seconds:
            states["jobs"] = "late"
        if any(issubclass(jobs.model, OutboxMessage) for jobs in self._kinds):
            states["messages"] = "refused" if report.failed_messages else "ok"
        return states

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of /metrics. None while SQL does not answer."""
        try:
            report = self.report()
        except SQLAlchemyError as error:
            logger.debug("The jobs were not measured: %s", error)
            return
        yield GaugeMetricFamily("job_workers", "Workers with a heartbeat.", report.workers)
        yield GaugeMetricFamily(
            "job_workers_silent", "Workers that stopped beating.", report.silent_workers
        )
        oldest = GaugeMetricFamily(
            "job_oldest_due_seconds",
            "For how long the oldest job that is not started has been due.",
            labels=["kind"],
        )
        for kind, seconds in report.oldest_due_seconds.items():
            oldest.add_metric([kind], seconds)
        yield oldest
        paused = GaugeMetricFamily("job_kind_paused", "Kinds that are paused.", labels=["kind"])
        for kind in sorted(report.paused):
            paused.add_metric([kind], 1)
        yield paused
        failed = GaugeMetricFamily(
            "outbox_messages_failed",
            "Messages to other services that have failed for good.",
            labels=["service"],
        )
        for service, count in report.failed_messages.items():
            failed.add_metric([service], count)
        yield failed

    def _read(self) -> JobsReport:
        now = datetime.now(UTC)
        failed: dict[str, int] = {}
        paused = self._pauses()
        with self._database.read() as tx:
            beats = tx.scalars(
                select(WORKERS.c.beat_at).where(WORKERS.c.beat_at >= now - KEPT_FOR)
            ).all()
            oldest = {
                each.kind: 0.0 if each.kind in paused else due_for(tx, each.model, now)
                for each in self._kinds
            }
            for jobs in self._kinds:
                if issubclass(jobs.model, OutboxMessage):
                    failed |= count_failed(tx, jobs.model)
        alive = sum(beat >= now - self._silent for beat in beats)
        return JobsReport(alive, len(beats) - alive, oldest, paused, failed)


def due_for(tx: Transaction, model: type[JobRow], now: datetime) -> float:
    due_at = model.due_at
    oldest = tx.scalar(select(func.min(due_at)).where(due_at <= now))
    return 0.0 if oldest is None else (now - oldest).total_seconds()


def _state_of_workers(report: JobsReport) -> str:
    if report.silent_workers:
        return "silent"
    return "ok" if report.workers else "none"
