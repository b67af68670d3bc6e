"""What all processes that serve requests have counted of caches and rate limits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..extras import requires
from ..jobs.outbox import OutboxSettings
from ..outbound import RequestFailed, request
from .errors import OperationRefused

with requires("jobs"):
    from prometheus_client import Metric
    from prometheus_client.parser import text_string_to_metric_families

_HITS = ("hit", "stale")
_SECONDS = 10.0  # /metrics waits for SQL for up to nine
_MAX_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class CacheCounts:
    """A cache: what its readers did, and what the consistency monitor found."""

    events: Counter[str] = field(default_factory=Counter)
    audits: Counter[str] = field(default_factory=Counter)
    stale_seconds: float = 0
    """For how long the oldest known stale value has been stale; 0 if none is known."""

    @property
    def reads(self) -> int:
        """How many reads there were."""
        return sum(self.events[event] for event in (*_HITS, "miss"))

    @property
    def hit_ratio(self) -> float | None:
        """The share of reads that were hits, also of stale values; None without reads."""
        hits = sum(self.events[event] for event in _HITS)
        return hits / self.reads if self.reads else None


@dataclass(slots=True)
class LimitCounts:
    """The decisions of a rate limit. `would_refuse` are those of a shadow limit."""

    allowed: int = 0
    refused: int = 0
    would_refuse: int = 0
    near: int = 0


def cache_counts(metrics: Iterable[Metric]) -> Mapping[str, CacheCounts]:
    """What these metrics of a service have counted, by the name of the cache."""
    found = defaultdict[str, CacheCounts](CacheCounts)
    for metric in metrics:
        for sample in metric.samples:
            labels = sample.labels
            if sample.name == "cache_events_total":
                found[labels["cache"]].events[labels["event"]] += int(sample.value)
            elif sample.name == "cache_audit_total":
                found[labels["cache"]].audits[labels["outcome"]] += int(sample.value)
            elif sample.name == "cache_staleness_seconds":
                counts = found[labels["cache"]]
                counts.stale_seconds = max(counts.stale_seconds, sample.value)
    return found


def limit_counts(metrics: Iterable[Metric]) -> Mapping[str, LimitCounts]:
    """What these metrics of a service have counted, by the name of the limit."""
    found = defaultdict[str, LimitCounts](LimitCounts)
    for metric in metrics:
        for sample in metric.samples:
            if sample.name == "rate_limit_decisions_total":
                counts, decision = found[sample.labels["policy"]], sample.labels["decision"]
                setattr(counts, decision, getattr(counts, decision) + int(sample.value))
            elif sample.name == "rate_limit_near_total":
                found[sample.labels["policy"]].near += int(sample.value)
    return found


def served_metrics(service: str) -> list[Metric]:
    """The metrics of a service's processes, for a process that is none of them.

    Raises OperationRefused if its /metrics does not answer, or its address is not known.
    """
    address = getattr(OutboxSettings.load(), f"{service}_url", None)
    if address is None:
        raise OperationRefused(f"no address of {service} is known")
    url = f"{address.rstrip('/')}/metrics"
    try:
        response = request("GET", url, timeout_seconds=_SECONDS, max_body_bytes=_MAX_BYTES)
        if response.status != 200:
            raise OperationRefused(f"/metrics of {service} answered {response.status}")
        return list(text_string_to_metric_families(response.body.decode("utf-8")))
    except (RequestFailed, ValueError) as error:
        raise OperationRefused(f"/metrics of {service} did not answer: {error}") from None
