"""What all processes that serve requests have counted: of requests, caches and rate limits."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..extras import requires
from ..jobs.outbox import OutboxSettings
from ..outbound import RequestFailed, request
from .errors import OperationRefused

with requires("jobs"):
    from prometheus_client import Metric
    from prometheus_client.parser import text_string_to_metric_families
    from prometheus_client.samples import Sample

_HITS = ("hit", "stale")
_OWN = ("/console", "/api/v1/airliner/admin")  # routes of operators
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
    def hits(self) -> int:
        """How many reads were hits, also of stale values."""
        return sum(self.events[event] for event in _HITS)

    @property
    def reads(self) -> int:
        """How many reads there were."""
        return self.hits + self.events["miss"]

    @property
    def hit_ratio(self) -> float | None:
        """The share of reads that were hits; None without reads."""
        return self.hits / self.reads if self.reads else None


@dataclass(slots=True)
class EventCounts:
    """What the metrics of a service have counted since it started.

    `requests`, `errors` and `buckets` are without those of operators.
    """

    caches: defaultdict[str, CacheCounts] = field(default_factory=lambda: defaultdict(CacheCounts))
    limits: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By limit: the decisions `allowed`, `refused` and `would_refuse`, and `near`."""
    requests: int = 0
    errors: int = 0
    """Responses with a status of 500 or more."""
    buckets: Counter[float] = field(default_factory=Counter)
    """Requests that took at most as many seconds; infinity: all."""
    all_requests: int = 0
    trips: int = 0
    """Round trips to Redis."""
    outages: int = 0

    @classmethod
    def of(cls, metrics: Iterable[Metric]) -> "EventCounts":
        """The counts in the metrics of a service."""
        counts = cls()
        for metric in metrics:
            for sample in metric.samples:
                counts._add(sample)
        return counts

    def _add(self, sample: Sample) -> None:
        labels, value = sample.labels, sample.value
        match sample.name:
            case "http_requests_total" | "http_request_duration_seconds_bucket":
                self._add_requests(sample)
            case "redis_round_trip_duration_seconds_count":
                self.trips += int(value)
            case "redis_outages_total":
                self.outages += int(value)
            case "cache_events_total":
                self.caches[labels["cache"]].events[labels["event"]] += int(value)
            case "cache_audit_total":
                self.caches[labels["cache"]].audits[labels["outcome"]] += int(value)
            case "cache_staleness_seconds":
                cache = self.caches[labels["cache"]]
                cache.stale_seconds = max(cache.stale_seconds, value)
            case "rate_limit_decisions_total":
                self.limits[labels["policy"]][labels["decision"]] += int(value)
            case "rate_limit_near_total":
                self.limits[labels["policy"]]["near"] += int(value)

    def _add_requests(self, sample: Sample) -> None:
        labels, count = sample.labels, int(sample.value)
        is_own = labels["route"].startswith(_OWN)
        if sample.name == "http_requests_total":
            self.all_requests += count
            self.requests += 0 if is_own else count
            self.errors += count if labels["status"] >= "500" and not is_own else 0
        elif not is_own:
            self.buckets[float(labels["le"])] += count


ReadCounts = Callable[[], EventCounts]
"""Reads the counts of all processes of a service, for one of them."""


def served_counts(service: str) -> EventCounts:
    """What a service's processes have counted, for a process that is none of them.

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
        return EventCounts.of(text_string_to_metric_families(response.body.decode("utf-8")))
    except (RequestFailed, ValueError) as error:
        raise OperationRefused(f"/metrics of {service} did not answer: {error}") from None
