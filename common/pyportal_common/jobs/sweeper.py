"""Sends due jobs again and recovers the jobs of dead workers: a thread of every worker."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisLayerError
from .heartbeats import Heartbeat
from .metrics import WorkerMetrics
from .models import PRIORITIES
from .queue import JobQueue
from .store import Jobs

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
_MAX_QUEUED = 200  # messages of one queue; more are sent when these are done
_HOUSEKEEPING_EVERY = 60  # sweeps


class Sweeper:
    """Sweeps once a second, stores the process's heartbeat, and calls `housekeeping` once a minute.

    Any number of sweepers may run: the rows that one of them handles are locked.
    """

    def __init__(
        self,
        kinds: Sequence[Jobs[Any]],
        queue: JobQueue,
        *,
        housekeeping: Callable[[], None] = lambda: None,
        metrics: WorkerMetrics | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._kinds = kinds
        self._queue = queue
        self._housekeeping = housekeeping
        self._metrics = metrics or WorkerMetrics(None)
        self._heartbeat = heartbeat
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
        """Recover lost jobs and send due ones. Raises SQLAlchemyError and RedisLayerError."""
        for jobs in self._kinds:
            self._metrics.lost.labels(jobs.kind).inc(jobs.recover())
        for jobs in self._kinds:
            for priority in PRIORITIES:
                self._send(jobs, priority)

    def _send(self, jobs: Jobs[Any], priority: str) -> None:
        size = self._queue.size(jobs.kind, priority)
        self._metrics.waiting.labels(jobs.kind, priority).set(size)
        # The jobs of a backlog already have messages. If they were sent again each time, the queue
        # would grow faster than workers empty it.
        room = _MAX_QUEUED - size
        found = jobs.to_send(priority, room) if room > 0 else []
        for due in found:
            self._queue.send(due)
        if found:
            self._metrics.sent.labels(jobs.kind).inc(len(found))
            logger.debug("Sent %d %s of priority %s", len(found), jobs.kind, priority)

    def _run(self) -> None:
        sweeps = 0
        while not self._closing.wait(_INTERVAL_SECONDS):
            sweeps += 1
            if self._heartbeat is not None:
                self._attempt(self._heartbeat.beat)
            self._attempt(self.sweep)
            if sweeps % _HOUSEKEEPING_EVERY == 0:
                self._attempt(self._housekeeping)
        if self._heartbeat is not None:
            with suppress(SQLAlchemyError):
                self._heartbeat.end()

    def _attempt(self, task: Callable[[], None]) -> None:
        """Run one task of a round. Without Redis a sweep fails, but no other task."""
        try:
            task()
        except (RedisLayerError, SQLAlchemyError) as error:
            logger.debug("A sweep failed and is repeated: %s", error)
        except Exception:
            logger.exception("A sweep failed and is repeated")
