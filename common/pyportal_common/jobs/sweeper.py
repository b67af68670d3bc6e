"""The upkeep of a worker, once a second, in one thread."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisLayerError
from .heartbeats import Heartbeat
from .metrics import WorkerMetrics
from .outages import SqlOutages
from .store import BATCH, Jobs

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0


class Sweeper:
    """Sweeps once a second, stores the process's heartbeat, and calls `looks`.

    A sweep makes the delayed jobs due whose time has come, and recovers those of dead workers. Any
    number of sweepers may run: the rows that one of them handles are locked. `wake` is called when
    there are jobs to claim. `looks` find other work that is due. All of it is in one thread,
    because a process that wakes up once uses half as much of the processor as one that does for
    each of its parts.
    """

    def __init__(
        self,
        tables: Sequence[Jobs[Any]],
        *,
        wake: Callable[[], None] = lambda: None,
        looks: Sequence[Callable[[], None]] = (),
        metrics: WorkerMetrics | None = None,
        heartbeat: Heartbeat | None = None,
        outages: SqlOutages | None = None,
    ) -> None:
        self._tables = tables
        self._wake = wake
        self._looks = looks
        self._metrics = metrics or WorkerMetrics(None)
        self._heartbeat = heartbeat
        self._outages = outages or SqlOutages()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-sweeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Stop after the current sweep, and wait for it, but not longer than this."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def sweep(self) -> None:
        """Recover lost jobs and make delayed ones due. Raises SQLAlchemyError."""
        for jobs in self._tables:
            self._sweep(jobs)

    def _sweep(self, jobs: Jobs[Any]) -> None:
        found = jobs.look()
        if found.delayed:
            self._make_due(jobs)
        if found.ready or found.delayed:
            self._wake()
        if found.lost:  # last: what it calls may fail
            self._metrics.lost.labels(jobs.kind).inc(jobs.recover())
        self._outages.answered()

    def _make_due(self, jobs: Jobs[Any]) -> None:
        """Make all delayed jobs due whose time has come: after an outage there may be many."""
        while jobs.make_due() == BATCH and not self._closing.is_set():
            self._wake()

    def _run(self) -> None:
        while not self._closing.wait(_INTERVAL_SECONDS):
            if self._heartbeat is not None:
                self._attempt(partial(self._heartbeat.beat, self._metrics.report))
            for jobs in self._tables:
                self._attempt(partial(self._sweep, jobs))
            for look in self._looks:
                self._attempt(look)
        if self._heartbeat is not None:
            with suppress(SQLAlchemyError):
                self._heartbeat.end()

    def _attempt(self, task: Callable[[], None]) -> None:
        """Run one task of a round. If it fails, the others still run."""
        try:
            task()
        except SQLAlchemyError as error:
            self._outages.note(error, "A sweep failed and is repeated")
        except RedisLayerError as error:
            logger.debug("A sweep failed and is repeated: %s", error)
        except Exception:
            logger.exception("A sweep failed and is repeated")
