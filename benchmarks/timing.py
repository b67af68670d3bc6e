"""Times of calls, taken in turns so that noise affects all of them alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median

from .tables import Table, ratios, spread


def microseconds(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, slices: int, each: int
) -> dict[str, list[float]]:
    """The µs that each call takes, one figure a round.

    A round consists of short slices, in each of which every call is made `each` times; its figure
    is the median of the slices.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(slices):
            for name, call in calls.items():
                taken[name].append(_time(call, each))
        for name, times in taken.items():
            found[name].append(median(times))
    return found


def _time(call: Callable[[], object], each: int) -> float:
    began = time.perf_counter()
    for _ in range(each):
        call()
    return (time.perf_counter() - began) / each * 1e6


def table_of_times(title: str, times: Mapping[str, list[float]]) -> Table:
    """The times, each with its ratio to the first one."""
    base = next(iter(times.values()))
    table = Table((title, "µs", "÷ first"))
    for name, found in times.items():
        table.add(name, spread(found, 0), spread(ratios(found, base)))
    return table
