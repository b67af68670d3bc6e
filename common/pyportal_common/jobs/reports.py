"""A report on the workers and the jobs of a service, and its metrics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from .worker_reports import WorkerReport, merged


@dataclass(frozen=True, slots=True)
class JobsReport:
    """The workers and the jobs of a service, at one moment."""

    workers: int
    """Workers with a heartbeat in time."""
    silent: Sequence[str]
    """Workers that stopped beating within the last minutes: host and process id."""
    oldest_due_seconds: Mapping[str, float]
    """By kind: for how long the oldest job that no worker has started has been due, or 0.

    0 for a paused kind, whose jobs are not to be started.
    """
    paused: frozenset[str]
    """The kinds that are paused, among them schedules."""
    failed_messages: Mapping[str, int]
    """By receiving service: outbox messages that have failed for good. At most 10,000 in all."""
    worker_reports: Sequence[WorkerReport] = ()
    """Those of the workers with a heartbeat in time."""
    jobs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By kind and state (due, delayed, running, failed): at most 10,000 jobs of each."""

    @property
    def silent_workers(self) -> int:
        """How many workers stopped beating within the last minutes."""
        return len(self.silent)

    def metrics(self) -> Iterator[Metric]:
        """The gauges of /metrics, and the metrics of the workers."""
        yield GaugeMetricFamily("job_workers", "Workers with a heartbeat.", self.workers)
        yield GaugeMetricFamily(
            "job_workers_silent", "Workers that stopped beating.", self.silent_workers
        )
        yield _by_kind(
            "job_kind_workers",
            "Workers with a heartbeat that run jobs of this kind.",
            {kind: self.workers_of(kind) for kind in self.oldest_due_seconds},
        )
        yield _by_kind(
            "job_oldest_due_seconds",
            "For how long the oldest job that is not started has been due.",
            self.oldest_due_seconds,
        )
        yield _by_kind(
            "job_kind_paused", "Kinds that are paused.", dict.fromkeys(sorted(self.paused), 1)
        )
        unfinished = GaugeMetricFamily(
            "jobs_unfinished", "Jobs that have not ended, by state.", labels=["kind", "state"]
        )
        for (kind, state), number in self.jobs.items():
            if state != "failed":
                unfinished.add_metric([kind, state], number)
        yield unfinished
        yield _by_kind(
            "jobs_failed",
            "Jobs that have failed for good.",
            {kind: number for (kind, state), number in self.jobs.items() if state == "failed"},
        )
        failed = GaugeMetricFamily(
            "outbox_messages_failed",
            "Messages to other services that have failed for good.",
            labels=["service"],
        )
        for service, count in self.failed_messages.items():
            failed.add_metric([service], count)
        yield failed
        yield from merged(self.worker_reports)

    def workers_of(self, kind: str) -> int:
        """Workers with a heartbeat in time that run jobs of a kind."""
        return sum(report.runs(kind) for report in self.worker_reports)


def _by_kind(name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["kind"])
    for kind, value in values.items():
        family.add_metric([kind], value)
    return family
