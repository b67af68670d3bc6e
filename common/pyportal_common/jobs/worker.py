"""The process that does jobs: Dramatiq's threads, each of which claims, runs and ends one."""

import logging
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from dramatiq import Worker

from ..cache_handlers.faults import outage_in
from .metrics import WorkerMetrics
from .performer import Perform, Performer
from .queue import JobQueue
from .settings import WorkerSettings
from .store import Jobs
from .sweeper import Sweeper

logger = logging.getLogger(__name__)

_POLL_MS = 100  # of an idle queue
_TICK = 0.2  # seconds
_LAST_WORDS = 3.0  # seconds for what was handed back, and for threads that SQL does not answer


def run_worker(
    jobs: Jobs[Any],
    queue: JobQueue,
    perform: Perform,
    *,
    kind: Callable[[Any], str],
    settings: WorkerSettings,
    housekeeping: Callable[[], None] = lambda: None,
) -> None:
    """Do jobs until SIGTERM or Ctrl-C; then finish what runs, within the time of grace.

    `perform` does one, within the time that `jobs` allows it, and ends by `Run.finish`, or raises
    JobFailed; any other exception makes it try again later. `kind` is what metrics call a job.
    """
    metrics = WorkerMetrics(settings.worker_metrics_port)
    performer = Performer(jobs, perform, kind, metrics)
    sweeper = Sweeper(jobs, queue, housekeeping=housekeeping, metrics=metrics)
    queue.consume(performer.do)
    queue.broker.emit_after("process_boot")  # starts the time limits
    worker = Worker(queue.broker, worker_threads=settings.worker_threads, worker_timeout=_POLL_MS)
    asked_to_stop = _asked_to_stop()
    worker.start()
    performer.start()
    sweeper.start()
    logger.info("The worker runs, with %d threads", settings.worker_threads)
    while not asked_to_stop() and not performer.is_stuck and _all_live(worker):
        time.sleep(_TICK)
    logger.info("The worker stops")
    sweeper.close(_LAST_WORDS)
    performer.stop_within(settings.worker_grace_seconds)
    _stop(worker, settings.worker_grace_seconds + _LAST_WORDS)
    performer.close(_LAST_WORDS)
    queue.close()


def _all_live(worker: Worker) -> bool:
    """Whether no thread has ended: a time limit that comes late, after the job, ends Dramatiq's."""
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
