"""Times and rates of several contenders: taken in turns, summarised, and printed."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median


def median_microseconds(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, each: int
) -> dict[str, float]:
    """The median time of each call. A round makes `each` of them: noise affects all alike."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(each):
                call()
            taken[name].append((time.perf_counter() - began) / each * 1e6)
    return {name: median(times) for name, times in taken.items()}


def median_ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """The median of the ratios of both in the same round."""
    return median(value / of for value, of in zip(values, base, strict=True))


def print_microseconds(title: str, times: Mapping[str, float]) -> None:
    """Print a table of times, each with its ratio to the first."""
    base = next(iter(times.values()))
    print_row(title, "µs", "ratio")
    for name, microseconds in times.items():
        print_row(name, f"{microseconds:.0f}", f"{microseconds / base:.2f}")


def print_rates(
    title: str, rates: Mapping[str, Sequence[float]], *, base: Sequence[float] | None = None
) -> None:
    """Print a table of rates a second: the median, the range, and the ratio to `base`, if given."""
    print_row(title, "tasks/s", "from", "to", *(["ratio"] if base else []))
    for name, found in rates.items():
        cells = [f"{value:.0f}" for value in (median(found), min(found), max(found))]
        ratio = [f"{median_ratio(found, base):.2f}"] if base else []
        print_row(name, *cells, *ratio)


def print_row(name: str, *cells: str) -> None:
    """Print one line of a table."""
    print(f"{name:<42}" + "".join(f" {cell:>9}" for cell in cells))
