"""A worker's Prometheus metrics."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)


class WorkerMetrics:
    """The metrics of one worker, served at `port` if it is given."""

    def __init__(self, port: int | None) -> None:
        registry = CollectorRegistry()
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
        if port is not None:
            start_http_server(port, registry=registry)

    def ended(self, job_type: str, outcome: str, seconds: float) -> None:
        """Count an attempt."""
        self._outcomes.labels(job_type, outcome.replace(" ", "_")).inc()
        self._seconds.labels(job_type).observe(seconds)
