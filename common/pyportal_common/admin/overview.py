"""How a service does at this moment: the numbers that an operator looks at first."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..extras import requires
from ..jobs import JobsMonitor
from ..metrics import collected
from ..web.health import Health
from ..web.metrics import Metrics

with requires("web"):
    from prometheus_client.samples import Sample

_WINDOW_SECONDS = 60.0
_INTERVAL_SECONDS = 1.0  # between two snapshots
_OWN = ("/console", "/api/v1/airliner/admin")  # routes of operators
_READS = {"hit", "stale", "miss"}


@dataclass(frozen=True, slots=True)
class Totals:
    """What all processes of a service have counted since they started.

    `requests` and `slower` are without those of operators, `all_requests` is with them.
    """

    requests: int
    errors: int
    """Responses with a status of 500 or more."""
    buckets: Mapping[float, int]
    """Requests that took at most as many seconds; infinity: all."""
    all_requests: int
    trips: int
    """Round trips to Redis."""
    cache_reads: int
    cache_hits: int
    """Among the reads; with those that served a stale value."""
    outages: int

    def since(self, earlier: "Totals") -> "Totals":
        """What was counted after an earlier snapshot."""
        buckets = {le: count - earlier.buckets.get(le, 0) for le, count in self.buckets.items()}
        return Totals(
            self.requests - earlier.requests,
            self.errors - earlier.errors,
            buckets,
            self.all_requests - earlier.all_requests,
            self.trips - earlier.trips,
            self.cache_reads - earlier.cache_reads,
            self.cache_hits - earlier.cache_hits,
            self.outages - earlier.outages,
        )


@dataclass(frozen=True, slots=True)
class Recent:
    """The same as rates, in the last `seconds`. None: since the start. Else None: no requests."""

    seconds: float | None
    requests: int
    requests_per_second: float | None
    error_ratio: float | None
    p99_seconds: float | None
    hit_ratio: float | None
    trips_per_request: float | None
    outages: int

    @classmethod
    def of(cls, counted: Totals, seconds: float | None) -> "Recent":
        """The rates of what was counted."""
        return cls(
            seconds,
            counted.requests,
            _ratio(counted.requests, seconds or 0),
            _ratio(counted.errors, counted.requests),
            quantile(0.99, counted.buckets),
            _ratio(counted.cache_hits, counted.cache_reads),
            _ratio(counted.trips, counted.all_requests),
            counted.outages,
        )


@dataclass(frozen=True, slots=True)
class JobsNow:
    """The workers, and the job that has been due for the longest time."""

    workers: int
    silent_workers: int
    oldest_due_kind: str | None
    oldest_due_seconds: float


@dataclass(frozen=True, slots=True)
class Overview:
    """How a service does. `jobs` is None while SQL does not answer."""

    at: datetime
    health: Health
    totals: Totals
    recent: Recent
    jobs: JobsNow | None


class Overviews:
    """Reads the overview of a service.

    Its cost depends on the number of processes, and not on the numbers of rows and keys. Keeps the
    totals of the last minute in which it was read.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Callable[[], Health],
        monitor: JobsMonitor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self.monitor = monitor
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshots: deque[tuple[float, Totals]] = deque()

    def read(self) -> Overview:
        """The overview now. A round trip for each Redis database, and statements of the monitor."""
        health = self._health()
        totals = read_totals(self._metrics)
        return Overview(datetime.now(UTC), health, totals, self._recent(totals), self._read_jobs())

    def _recent(self, totals: Totals) -> Recent:
        """The rates since the newest snapshot that is a minute old, or since the start."""
        now, snapshots = self._clock(), self._snapshots
        with self._lock:
            while len(snapshots) > 1 and now - snapshots[1][0] >= _WINDOW_SECONDS:
                snapshots.popleft()
            if not snapshots or now - snapshots[-1][0] >= _INTERVAL_SECONDS:
                snapshots.append((now, totals))
            at, earlier = snapshots[0]
        if now - at < _WINDOW_SECONDS:
            return Recent.of(totals, None)
        return Recent.of(totals.since(earlier), now - at)

    def _read_jobs(self) -> JobsNow | None:
        report = self.monitor.report_or_none()
        if report is None:
            return None
        due = report.oldest_due_seconds
        kind = max(due, key=lambda kind: due[kind], default=None)
        seconds = 0.0 if kind is None else due[kind]
        return JobsNow(report.workers, report.silent_workers, kind if seconds else None, seconds)


def read_totals(metrics: Metrics) -> Totals:
    """What all processes of a service have counted."""
    counts, buckets = Counter[str](), Counter[float]()
    for metric in collected(metrics.registry):
        for sample in metric.samples:
            _count(sample, counts, buckets)
    names = ("requests", "errors", "all_requests", "trips", "cache_reads", "cache_hits", "outages")
    return Totals(buckets=dict(sorted(buckets.items())), **{name: counts[name] for name in names})


def quantile(share: float, buckets: Mapping[float, int]) -> float | None:
    """The time that this share of requests did not exceed, as Prometheus estimates it."""
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    rank = share * buckets[bounds[-1]]
    lower, below = 0.0, 0
    for bound in bounds[:-1]:
        count = buckets[bound]
        if count >= rank:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def _count(sample: Sample, counts: Counter[str], buckets: Counter[float]) -> None:
    labels, value = sample.labels, int(sample.value)
    match sample.name:
        case "http_requests_total":
            counts["all_requests"] += value
            if not labels["route"].startswith(_OWN):
                counts["requests"] += value
                counts["errors"] += value if labels["status"] >= "500" else 0
        case "http_request_duration_seconds_bucket" if not labels["route"].startswith(_OWN):
            buckets[float(labels["le"])] += value
        case "redis_round_trip_duration_seconds_count":
            counts["trips"] += value
        case "cache_events_total" if labels["event"] in _READS:
            counts["cache_reads"] += value
            counts["cache_hits"] += value if labels["event"] != "miss" else 0
        case "redis_outages_total":
            counts["outages"] += value


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
