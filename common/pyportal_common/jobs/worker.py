"""The worker process: Dramatiq's threads, each of which claims and runs one job at a time."""

import logging
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Protocol

from dramatiq import Worker

from ..cache_handlers import outage_in
from ..db import Database
from ..exits import exit_at_once
from ..logging import configure_logging
from ..settings import ServiceSettings, exit_if_misconfigured
from .heartbeats import Heartbeat
from .metrics import WorkerMetrics
from .queue import JobQueue
from .runner import STUCK_SECONDS, JobHandler, JobRunner
from .settings import WorkerSettings
from .store import Jobs
from .sweeper import Sweeper

logger = logging.getLogger(__name__)

_POLL_MS = 100  # of an idle queue
_TICK_SECONDS = 0.2
_SHUTDOWN_GRACE_SECONDS = 3.0  # for released jobs, and for threads that SQL does not respond to


class WorkerServices(Protocol):
    """The parts of a service that its worker uses. `housekeeping` is called once a minute."""

    @property
    def database(self) -> Database:
        """The database of the jobs."""

    @property
    def queue(self) -> JobQueue:
        """The queue that carries the ids of the jobs."""

    @property
    def handlers(self) -> Sequence[tuple[Jobs[Any], JobHandler]]:
        """The jobs of each kind, and the function that runs one of them."""

    def prepare_worker(self) -> None:
        """Prepare to run jobs instead of requests."""

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
    with exit_if_misconfigured():
        settings = load()
        configure_logging(settings.log_format, settings.log_level)
        services = build(settings)
        worker_settings = WorkerSettings.load()
    services.prepare_worker()
    run_worker(
        services.queue,
        services.handlers,
        settings=worker_settings,
        housekeeping=services.housekeeping,
        heartbeat=Heartbeat(
            services.database, silent_seconds=worker_settings.worker_silent_seconds
        ),
    )
    services.close()
    exit_at_once()


def run_worker(
    queue: JobQueue,
    handlers: Sequence[tuple[Jobs[Any], JobHandler]],
    *,
    settings: WorkerSettings,
    housekeeping: Callable[[], None] = lambda: None,
    heartbeat: Heartbeat | None = None,
    stuck_seconds: float = STUCK_SECONDS,
    shutdown_grace_seconds: float = _SHUTDOWN_GRACE_SECONDS,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; then finish the running ones, within the grace period.

    A handler runs one job, within the time limit of its kind. It ends the job by `Run.finish` or a
    similar method, or raises JobFailed; after any other exception the job is retried.

    The worker also ends when a job has exceeded its time limit by `stuck_seconds`, for a supervisor
    to start it again.
    """
    metrics = WorkerMetrics(settings.worker_metrics_port)
    runners = [
        JobRunner(jobs, handler, metrics, stuck_seconds=stuck_seconds) for jobs, handler in handlers
    ]
    kinds = [jobs for jobs, _ in handlers]
    sweeper = Sweeper(kinds, queue, housekeeping=housekeeping, metrics=metrics, heartbeat=heartbeat)
    for runner in runners:
        queue.consume(runner.jobs.kind, runner.do)
    queue.broker.emit_after("process_boot")  # starts the time limits
    worker = Worker(queue.broker, worker_threads=settings.worker_threads, worker_timeout=_POLL_MS)
    stop_requested = _catch_stop_signals()
    worker.start()
    for runner in runners:
        runner.start()
    sweeper.start()
    logger.info("The worker runs, with %d threads", settings.worker_threads)
    while not stop_requested() and _is_healthy(worker, runners):
        time.sleep(_TICK_SECONDS)
    logger.info("The worker stops")
    for runner in runners:
        runner.stop_within(settings.worker_grace_seconds)
    ends_at = time.monotonic() + settings.worker_grace_seconds + shutdown_grace_seconds
    sweeper.close(shutdown_grace_seconds)
    _stop(worker, _until(ends_at))
    for runner in runners:
        runner.close(_until(ends_at))
    queue.close()


def _is_healthy(worker: Worker, runners: Sequence[JobRunner]) -> bool:
    """Whether no thread is stuck or has ended.

    A time limit that arrives after the job, in Dramatiq's own code, ends a thread.
    """
    if any(runner.is_stuck for runner in runners):
        return False
    if all(thread.is_alive() for thread in worker.workers):
        return True
    logger.error("A thread has ended: the worker restarts")
    return False


def _until(moment: float) -> float:
    """The seconds that are left."""
    return max(moment - time.monotonic(), 0)


def _stop(worker: Worker, seconds: float) -> None:
    """Stop, and return fetched messages. In an outage the sweeper of another worker sends them."""
    try:
        worker.stop(timeout=round(seconds * 1000))
    except Exception as error:
        if outage_in(error) is None:
            raise
        logger.warning("Fetched messages were not returned: %s", error)


def _catch_stop_signals() -> Callable[[], bool]:
    """Handle SIGTERM and SIGINT. The returned function says whether one has arrived."""
    stop = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = True  # a plain flag, because signal handlers must not take locks

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return lambda: stop
