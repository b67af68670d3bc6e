"""The worker process: threads that run jobs, one that claims them, and upkeep."""

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from prometheus_client.registry import Collector

from ..cache_handlers import RedisClient
from ..db import Database
from ..exits import exit_at_once
from ..logging import configure_logging
from ..settings import ServiceSettings, exit_if_misconfigured
from .dispatcher import Dispatcher
from .heartbeats import Heartbeat
from .hints import NO_HINTS, Hints
from .metrics import WorkerMetrics
from .outages import SqlOutages
from .pauses import Pauses
from .runner import STUCK_SECONDS, JobHandler, JobRunner
from .settings import WorkerSettings
from .store import Jobs
from .sweeper import Sweeper
from .worker_state import WorkerState

logger = logging.getLogger(__name__)

_HEALTH_CHECK_SECONDS = 1.0
_SHUTDOWN_GRACE_SECONDS = (
    3.0  # for jobs that are handed back, and for threads that SQL does not respond to
)
_HEARTBEAT_GRACE_SECONDS = 0.5  # to end it, when jobs have taken all of the time


class Background(Protocol):
    """What runs beside the jobs of a worker, in threads of its own."""

    @property
    def kind(self) -> str:
        """The kind of jobs."""

    def start(self, metrics: WorkerMetrics) -> None:
        """Start."""

    def look(self) -> None:
        """Start what is due. Called once a second. Raises SQLAlchemyError."""

    def close(self, seconds: float) -> None:
        """Stop, within this time."""


class WorkerServices(Protocol):
    """The parts of a service that its worker uses."""

    @property
    def database(self) -> Database:
        """The database of the jobs."""

    @property
    def redis_clients(self) -> Collection[RedisClient]:
        """The clients of its Redis databases."""

    @property
    def hints(self) -> Hints:
        """What wakes the worker."""

    @property
    def handlers(self) -> Sequence[tuple[Jobs[Any], JobHandler]]:
        """The jobs of each kind, and the function that runs one of them."""

    @property
    def background(self) -> Sequence[Background]:
        """What runs beside the jobs."""

    @property
    def pauses(self) -> Pauses:
        """The kinds of jobs that are paused."""

    def prepare_worker(self) -> None:
        """Prepare to run jobs instead of requests."""

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
        services.handlers,
        hints=services.hints,
        settings=worker_settings,
        background=services.background,
        paused=services.pauses,
        heartbeat=Heartbeat(
            services.database, silent_seconds=worker_settings.worker_silent_seconds
        ),
        more_metrics=[WorkerState(services.redis_clients, services.database)],
    )
    services.close()
    exit_at_once()


def run_worker(
    handlers: Sequence[tuple[Jobs[Any], JobHandler]],
    *,
    settings: WorkerSettings,
    hints: Hints = NO_HINTS,
    background: Sequence[Background] = (),
    paused: Callable[[], Collection[str]] = frozenset,
    heartbeat: Heartbeat | None = None,
    more_metrics: Collection[Collector] = (),
    stuck_seconds: float = STUCK_SECONDS,
    shutdown_grace_seconds: float = _SHUTDOWN_GRACE_SECONDS,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; then finish the running ones, within the grace period.

    A handler runs one job, within the time limit of its kind. It ends the attempt by
    `Run.transaction` with an Outcome, or raises one; after any other exception the job is retried.

    The worker also ends when the thread of a job has exceeded its time limit by `stuck_seconds`,
    for a supervisor to start it again.
    """
    kinds = [jobs.kind for jobs, _ in handlers] + [part.kind for part in background]
    metrics = WorkerMetrics(settings.worker_metrics_port, kinds, more_metrics)
    outages = SqlOutages()
    runners = [
        JobRunner(jobs, handler, metrics, outages=outages, stuck_seconds=stuck_seconds)
        for jobs, handler in handlers
    ]
    dispatcher = Dispatcher(runners, outages, threads=settings.worker_threads, paused=paused)
    tables = [jobs for jobs, _ in handlers]
    sweeper = Sweeper(
        tables,
        wake=dispatcher.wake,
        looks=[part.look for part in background],
        metrics=metrics,
        heartbeat=heartbeat,
        outages=outages,
    )
    stop_requested_within = _catch_stop_signals()
    for part in background:
        part.start(metrics)
    dispatcher.start()
    for runner in runners:
        runner.start()
    sweeper.start()
    for jobs in tables:
        hints.on(jobs.kind, dispatcher.wake)
    hints.listen()
    logger.info("The worker runs, with %d threads", settings.worker_threads)
    while not stop_requested_within(_HEALTH_CHECK_SECONDS) and _is_healthy(dispatcher, runners):
        pass
    logger.info("The worker stops")
    hints.close()
    dispatcher.stop()
    for runner in runners:
        runner.stop_within(settings.worker_grace_seconds)
    ends_at = time.monotonic() + settings.worker_grace_seconds + shutdown_grace_seconds
    dispatcher.join(_until(ends_at))
    sweeper.close(_until(ends_at) + _HEARTBEAT_GRACE_SECONDS)
    for part in background:
        part.close(_until(ends_at))
    for runner in runners:
        runner.close(_until(ends_at))


def _is_healthy(dispatcher: Dispatcher, runners: Sequence[JobRunner]) -> bool:
    """Whether no thread is stuck or has ended."""
    if any(runner.is_stuck for runner in runners):
        return False
    if not dispatcher.is_alive:
        logger.error("A thread has ended: the worker restarts")
    return dispatcher.is_alive


def _until(moment: float) -> float:
    """The seconds that are left."""
    return max(moment - time.monotonic(), 0)


def _catch_stop_signals() -> Callable[[float], bool]:
    """Handle SIGTERM and SIGINT. The returned function says whether one arrives within seconds.

    By a pipe, because signal handlers must not take locks, as those of a threading.Event are.
    """
    reading, writing = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(writing, b"."))
    return lambda seconds: bool(select.select([reading], [], [], seconds)[0])
