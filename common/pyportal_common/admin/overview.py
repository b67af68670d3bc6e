"""How a service does at this moment: the numbers that an operator looks at first."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..jobs import JobsMonitor
from ..operations import EventCounts, ReadCounts
from ..web.health import Health

_WINDOW_SECONDS = 60.0
_INTERVAL_SECONDS = 1.0  # between two snapshots


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of what was counted. See EventCounts."""

    requests: int
    errors: int
    buckets: Mapping[float, int]
    all_requests: int
    trips: int
    cache_reads: int
    cache_hits: int
    outages: int

    @classmethod
    def of(cls, counts: EventCounts) -> "Totals":
        """The totals of these counts."""
        return cls(
            counts.requests,
            counts.errors,
            dict(sorted(counts.buckets.items())),
            counts.all_requests,
            counts.trips,
            sum(each.reads for each in counts.caches.values()),
            sum(each.hits for each in counts.caches.values()),
            counts.outages,
        )

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
        read_counts: ReadCounts,
        health: Callable[[], Health],
        monitor: JobsMonitor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_counts = read_counts
        self._health = health
        self.monitor = monitor
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshots: deque[tuple[float, Totals]] = deque()

    def read(self) -> Overview:
        """The overview now. A round trip for each Redis database, and statements of the monitor."""
        health = self._health()
        totals = Totals.of(self._read_counts())
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


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
