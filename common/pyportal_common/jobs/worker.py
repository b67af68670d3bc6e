"""The process that does jobs: Dramatiq's threads, each of which claims, runs and ends one."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Protocol

from dramatiq import Worker

from ..cache_handlers.client.errors import outage_in
from ..logging import configure_logging
from ..settings import ConfigurationError, ServiceSettings
from .metrics import WorkerMetrics
from .queue import JobQueue
from .runner import JobHandler, JobRunner
from .settings import WorkerSettings
from .store import Jobs
from .sweeper import Sweeper

logger = logging.getLogger(__name__)

_POLL_MS = 100  # of an idle queue
_TICK = 0.2  # seconds
_SHUTDOWN_GRACE_SECONDS = (
    3.0  # seconds for what was handed back, and for threads that SQL does not answer
)


class WorkerServices(Protocol):
    """What a worker needs of a service: its queue, its jobs, and the handler of each kind.

    `housekeeping` is called once a minute.
    """

    @property
    def queue(self) -> JobQueue:
        """The queue that carries the ids of the jobs."""

    @property
    def handlers(self) -> Sequence[tuple[Jobs[Any], JobHandler]]:
        """The jobs of each kind, and the function that runs one of them."""

    def housekeeping(self) -> None:
        """Delete what is no longer needed."""

    def close(self) -> None:
        """Close every connection."""


def worker_main(
    load: Callable[[], ServiceSettings], build: Callable[[Any], WorkerServices]
) -> None:
    """What `python -m app.worker` runs: load the settings, build the services, run their jobs.

    Exits with the message of a ConfigurationError.
    """
    try:
        settings = load()
        configure_logging(settings.log_format, settings.log_level)
        services = build(settings)
        worker_settings = WorkerSettings.load()
    except ConfigurationError as error:
        sys.exit(str(error))
    run_worker(
        services.queue,
        services.handlers,
        settings=worker_settings,
        housekeeping=services.housekeeping,
    )
    services.close()


def run_worker(
    queue: JobQueue,
    handlers: Sequence[tuple[Jobs[Any], JobHandler]],
    *,
    settings: WorkerSettings,
    housekeeping: Callable[[], None] = lambda: None,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; then finish the running ones, within the grace period.

    A handler runs one job, within the time limit of its kind. It ends the job by `Run.finish` or a
    similar method, or raises JobFailed; after any other exception the job is retried.
    """
    metrics = WorkerMetrics(settings.worker_metrics_port)
    runners = [JobRunner(jobs, handler, metrics) for jobs, handler in handlers]
    sweeper = Sweeper(
        [jobs for jobs, _ in handlers], queue, housekeeping=housekeeping, metrics=metrics
    )
    for runner in runners:
        queue.consume(runner.jobs.kind, runner.do)
    queue.broker.emit_after("process_boot")  # starts the time limits
    worker = Worker(queue.broker, worker_threads=settings.worker_threads, worker_timeout=_POLL_MS)
    asked_to_stop = _asked_to_stop()
    worker.start()
    for runner in runners:
        runner.start()
    sweeper.start()
    logger.info("The worker runs, with %d threads", settings.worker_threads)
    while not asked_to_stop() and _all_well(worker, runners):
        time.sleep(_TICK)
    logger.info("The worker stops")
    sweeper.close(_SHUTDOWN_GRACE_SECONDS)
    for runner in runners:
        runner.stop_within(settings.worker_grace_seconds)
    _stop(worker, settings.worker_grace_seconds + _SHUTDOWN_GRACE_SECONDS)
    for runner in runners:
        runner.close(_SHUTDOWN_GRACE_SECONDS)
    queue.close()


def _all_well(worker: Worker, runners: Sequence[JobRunner]) -> bool:
    """Whether no thread is stuck, and none has ended: a time limit that comes late, after the job,
    ends Dramatiq's.
    """
    if any(runner.is_stuck for runner in runners):
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
