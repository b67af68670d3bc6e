"""The metrics of workers, which their heartbeats store and each service's /metrics shows.

So a scraper needs one address for each service, however many workers there are and wherever they
run. They are as old as the last heartbeat.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from prometheus_client import CollectorRegistry, Metric


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker reports with its heartbeat."""

    worker: str
    """Its host and process id."""
    kinds: frozenset[str] | None
    """The kinds of jobs that it runs. None: another release did not report them."""
    metrics: tuple[Metric, ...]

    @classmethod
    def parse(cls, worker: str, text: str | None) -> Self:
        """The report of `report_text`. One of another release may be empty."""
        try:
            document = json.loads(text or "")
            metrics = tuple(_metric(worker, **each) for each in document["metrics"])
            return cls(worker, frozenset(document["kinds"]), metrics)
        except (ValueError, TypeError, KeyError):
            return cls(worker, None, ())

    def runs(self, kind: str) -> bool:
        """Whether the worker runs jobs of this kind, as far as is known."""
        return self.kinds is None or kind in self.kinds


def report_text(kinds: Collection[str], registry: CollectorRegistry) -> str:
    """The report of this process, as JSON."""
    metrics = [
        {
            "name": metric.name,
            "text": metric.documentation,
            "kind": metric.type,
            "samples": [
                (sample.name, sample.labels, sample.value)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ],
        }
        for metric in registry.collect()
    ]
    return json.dumps({"kinds": sorted(kinds), "metrics": metrics})


def merged(reports: Iterable[WorkerReport]) -> Iterator[Metric]:
    """The metrics of all workers: each name once, as the text format requires."""
    by_name: dict[str, Metric] = {}
    for metric in (metric for report in reports for metric in report.metrics):
        merged_one = by_name.setdefault(
            metric.name, Metric(metric.name, metric.documentation, metric.type)
        )
        merged_one.samples.extend(metric.samples)
    yield from by_name.values()


def _metric(worker: str, *, name: str, text: str, kind: str, samples: Iterable[Any]) -> Metric:
    metric = Metric(name, text, kind)
    for sample_name, labels, value in samples:
        metric.add_sample(sample_name, {**labels, "worker": worker}, value)
    return metric
