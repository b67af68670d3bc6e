"""What all processes that serve requests have counted of caches and rate limits."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..metrics import collected
from ..web.metrics import Metrics

_HITS = ("hit", "stale")


@dataclass(slots=True)
class CacheCounts:
    """A cache: what its readers did, and what the consistency monitor found."""

    events: Counter[str] = field(default_factory=Counter)
    audits: Counter[str] = field(default_factory=Counter)
    stale_seconds: float = 0
    """For how long the oldest known stale value has been stale; 0 if none is known."""

    @property
    def hit_ratio(self) -> float | None:
        """The share of reads that were hits, also of stale values; None without reads."""
        hits = sum(self.events[event] for event in _HITS)
        reads = hits + self.events["miss"]
        return hits / reads if reads else None


@dataclass(slots=True)
class LimitCounts:
    """The decisions of a rate limit. `would_refuse` are those of a shadow limit."""

    allowed: int = 0
    refused: int = 0
    would_refuse: int = 0
    near: int = 0


def read_cache_counts(metrics: Metrics) -> Mapping[str, CacheCounts]:
    """What was counted since the service started, by the name of the cache."""
    found = defaultdict[str, CacheCounts](CacheCounts)
    for metric in collected(metrics.registry):
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


def read_limit_counts(metrics: Metrics) -> Mapping[str, LimitCounts]:
    """What was counted since the service started, by the name of the limit."""
    found = defaultdict[str, LimitCounts](LimitCounts)
    for metric in collected(metrics.registry):
        for sample in metric.samples:
            if sample.name == "rate_limit_decisions_total":
                counts, decision = found[sample.labels["policy"]], sample.labels["decision"]
                setattr(counts, decision, getattr(counts, decision) + int(sample.value))
            elif sample.name == "rate_limit_near_total":
                found[sample.labels["policy"]].near += int(sample.value)
    return found
