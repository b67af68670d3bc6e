"""What is printed about a run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from .harness import Outcome
from .journal import Fault

_MAX_SHOWN = 20  # violations


def print_counts(heading: str, counts: Mapping[str, int]) -> None:
    """A heading with the sum, and a line for each entry."""
    print(f"{sum(counts.values()):,} {heading}")
    for name, number in sorted(counts.items()):
        print(f"  {name:<70} {number:>7,}")


def print_faults(faults: Iterable[Fault]) -> None:
    """How often each fault happened, and for how long in all."""
    times, nanoseconds = Counter[str](), Counter[str]()
    for fault in faults:
        times[fault.kind] += 1
        nanoseconds[fault.kind] += fault.end - fault.begin
    print(f"{sum(times.values()):,} faults")
    for kind, number in sorted(times.items()):
        print(f"  {kind:<70} {number:>7,} {nanoseconds[kind] / 1e9:>6.1f} s")


def report(outcome: Outcome[Any]) -> None:
    """Print the result of a run of a service."""
    log, jobs = outcome.log, outcome.state.jobs
    print(f"took {outcome.took:.0f} s")
    print_counts("accepted", Counter(accepted.kind for accepted in log.accepted))
    print_counts("responses", log.responses)
    print_counts("requests repeated, after", log.repeats)
    print_faults(outcome.faults)
    print_counts("jobs, and how they ended", Counter(job.ending for job in jobs))
    print_counts("jobs, by attempts", Counter(f"{job.attempts:3}" for job in jobs))
    print(f"all accepted {outcome.until_accepted:.1f} s after the last fault")
    if outcome.until_final is not None:
        print(f"all ended {outcome.until_final:.1f} s after the last fault")
    print(f"{len(outcome.violations)} violations")
    for violation in outcome.violations[:_MAX_SHOWN]:
        print(f"! {violation}")
