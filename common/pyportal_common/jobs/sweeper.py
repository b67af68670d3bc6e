"""The thread in every worker that sees to what was lost: messages, and workers."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisLayerError
from .metrics import WorkerMetrics
from .models import PRIORITIES
from .queue import JobQueue
from .store import Jobs

logger = logging.getLogger(__name__)

_EVERY = 1.0  # seconds
_ENOUGH = 200  # messages in a queue: what is not among them can wait
_HOUSEKEEPING_EVERY = 60  # sweeps


class Sweeper:
    """Sends again what is due, and gives back what died with its worker, once a second.

    Any number of them may run: rows are locked while one of them is at it. `housekeeping` is called
    once a minute.
    """

    def __init__(
        self,
        kinds: Sequence[Jobs[Any]],
        queue: JobQueue,
        *,
        housekeeping: Callable[[], None] = lambda: None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._kinds = kinds
        self._queue = queue
        self._housekeeping = housekeeping
        self._metrics = metrics or WorkerMetrics(None)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Stop after the current sweep, and wait for that, but not for longer."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def sweep(self) -> None:
        """What is done once a second. Raises SQLAlchemyError and RedisLayerError."""
        for jobs in self._kinds:
            self._metrics.lost.labels(jobs.kind).inc(jobs.recover())
        for jobs in self._kinds:
            for priority in PRIORITIES:
                self._send(jobs, priority)

    def _send(self, jobs: Jobs[Any], priority: str) -> None:
        size = self._queue.size(jobs.kind, priority)
        self._metrics.waiting.labels(jobs.kind, priority).set(size)
        # Messages of a backlog are there already. Sent again each time, they would pile up faster
        # than they are worked off.
        room = _ENOUGH - size
        found = jobs.to_send(priority, room) if room > 0 else []
        for due in found:
            self._queue.send(due)
        if found:
            self._metrics.sent.labels(jobs.kind).inc(len(found))
            logger.debug("Sent %d %s of priority %s", len(found), jobs.kind, priority)

    def _run(self) -> None:
        turn = 0
        while not self._closing.wait(_EVERY):
            turn += 1
            try:
                self.sweep()
                if turn % _HOUSEKEEPING_EVERY == 0:
                    self._housekeeping()
            except (RedisLayerError, SQLAlchemyError) as error:
                logger.debug("Sweeping waits: %s", error)
            except Exception:
                logger.exception("Sweeping failed, and goes on")
