"""A worker's Prometheus metrics."""

import platform
from collections.abc import Collection
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.registry import Collector

from .. import __version__
from .worker_reports import report_text

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)


class WorkerMetrics:
    """The metrics of one worker, which runs `kinds` of jobs. Served at `port` if it is given.

    `more` is collected for each heartbeat.
    """

    def __init__(
        self, port: int | None, kinds: Collection[str] = (), more: Collection[Collector] = ()
    ) -> None:
        self._registry = registry = CollectorRegistry()
        self._kinds = kinds
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)

        self._outcomes = counter(
            "job_attempts", "Attempts at jobs, by outcome.", ["type", "outcome"]
        )
        self._seconds = Histogram(
            "job_duration_seconds",
            "Duration of attempts.",
            ["type"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.running = gauge("jobs_running", "Jobs that this worker is running.")
        self.lost = counter("jobs_lost", "Jobs whose worker died.", ["kind"])
        release = gauge("worker_info", "The release of a worker.", ["version", "python"])
        release.labels(__version__, platform.python_version()).set(1)
        for collector in more:
            registry.register(collector)
        if port is not None:
            start_http_server(port, registry=registry)

    def report(self) -> str:
        """What a heartbeat stores: the kinds of jobs that this worker runs, and its metrics."""
        return report_text(self._kinds, self._registry)

    def ended(self, job_type: str, outcome: str, seconds: float) -> None:
        """Count an attempt."""
        self._outcomes.labels(job_type, outcome.replace(" ", "_")).inc()
        self._seconds.labels(job_type).observe(seconds)
