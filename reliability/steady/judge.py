"""Whether something grows."""

from collections.abc import Sequence
from statistics import median

from .samples import Sample, Series

WARM_UP = 0.5  # of the samples: caches and pools fill meanwhile

_MIB = 2**20
_SHARE = 0.03

# What may be added in the measured time, at the least. Else a share of what was there.
# A pool opens one more connection when all others are in use, which may come late.
_ALLOWED = {"pss": 2 * _MIB, "used_memory": _MIB, "descriptors": 2.0, "clients": 6.0}


def growth(times: Sequence[float], values: Sequence[float]) -> float:
    """What is added from the first to the last time, by the median slope of all pairs.

    Unlike that of least squares, a single high sample hardly changes it (Theil and Sen).
    """
    slopes = [
        (values[late] - values[early]) / (times[late] - times[early])
        for late in range(len(times))
        for early in range(late)
    ]
    return median(slopes) * (times[-1] - times[0])


def measured(samples: Sequence[tuple[float, Sample]]) -> Sequence[tuple[float, Sample]]:
    """The samples after the warm-up."""
    return samples[int(len(samples) * WARM_UP) :]


def growths(samples: Sequence[tuple[float, Sample]]) -> dict[Series, tuple[float, float]]:
    """What each series had after the warm-up, and what was added since then."""
    kept = measured(samples)
    times = [time for time, _ in kept]
    found = {}
    for series in kept[0][1]:
        values = [each[series] for _, each in kept if series in each]
        if len(values) == len(times):
            found[series] = (values[0], growth(times, values))
    return found


def violations(samples: Sequence[tuple[float, Sample]]) -> list[str]:
    """What grows, or was not there all the time, one sentence each."""
    found = growths(samples)
    missing = {series for _, each in samples for series in each} - found.keys()
    gone = [f"{series.process} was not there all the time" for series in missing]
    return sorted(set(gone)) + [
        f"{series.quantity} of {series.process} grew by {added:,.0f}, from {first:,.0f}"
        for series, (first, added) in found.items()
        if added > max(_ALLOWED[series.quantity], _SHARE * first)
    ]
