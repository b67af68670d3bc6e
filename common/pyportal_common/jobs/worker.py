"""The process that does jobs: Dramatiq's threads, each of which claims, runs and ends one."""

import logging
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from dramatiq import Worker

from ..cache_handlers.client.errors import outage_in
from .metrics import WorkerMetrics
from .queue import JobQueue
from .runner import Perform, Performer
from .settings import WorkerSettings
from .store import Jobs
from .sweeper import Sweeper

logger = logging.getLogger(__name__)

_POLL_MS = 100  # of an idle queue
_TICK = 0.2  # seconds
_LAST_WORDS = 3.0  # seconds for what was handed back, and for threads that SQL does not answer


def run_worker(
    queue: JobQueue,
    work: Sequence[tuple[Jobs[Any], Perform]],
    *,
    settings: WorkerSettings,
    housekeeping: Callable[[], None] = lambda: None,
) -> None:
    """Do jobs until SIGTERM or Ctrl-C; then finish what runs, within the time of grace.

    Beside the jobs of each kind stands what does one, within the time that they allow it. It ends
    by `Run.finish` or one of its kin, or raises JobFailed; another exception makes it try again.
    """
    metrics = WorkerMetrics(settings.worker_metrics_port)
    performers = [Performer(jobs, perform, metrics) for jobs, perform in work]
    sweeper = Sweeper([jobs for jobs, _ in work], queue, housekeeping=housekeeping, metrics=metrics)
    for performer in performers:
        queue.consume(performer.jobs.kind, performer.do)
    queue.broker.emit_after("process_boot")  # starts the time limits
    worker = Worker(queue.broker, worker_threads=settings.worker_threads, worker_timeout=_POLL_MS)
    asked_to_stop = _asked_to_stop()
    worker.start()
    for performer in performers:
        performer.start()
    sweeper.start()
    logger.info("The worker runs, with %d threads", settings.worker_threads)
    while not asked_to_stop() and _all_well(worker, performers):
        time.sleep(_TICK)
    logger.info("The worker stops")
    sweeper.close(_LAST_WORDS)
    for performer in performers:
        performer.stop_within(settings.worker_grace_seconds)
    _stop(worker, settings.worker_grace_seconds + _LAST_WORDS)
    for performer in performers:
        performer.close(_LAST_WORDS)
    queue.close()


def _all_well(worker: Worker, performers: Sequence[Performer]) -> bool:
    """Whether no thread is stuck, and none has ended: a time limit that comes late, after the job,
    ends Dramatiq's.
    """
    if any(performer.is_stuck for performer in performers):
        return False
    if all(thread.is_alive() for thread in worker.workers):
        return True
    logger.error("A thread has ended: the worker starts anew")
    return False


def _stop(worker: Worker, seconds: float) -> None:
    """Let it end, and give back what it has fetched. In an outage the sweeper of another will."""
    try:
        worker.stop(timeout=round(seconds * 1000))
    except Exception as error:
        if outage_in(error) is None:
            raise
        logger.warning("What was fetched is not given back: %s", error)


def _asked_to_stop() -> Callable[[], bool]:
    """Whether a signal came. A plain flag: handlers must not take locks."""
    asked = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return lambda: asked
