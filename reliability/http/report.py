"""What is printed about an HTTP run."""

from collections import Counter

from ..report import print_counts, print_faults
from .checker import History, Request, Verdict, at, outcomes, recoveries

_MAX_SHOWN = 10


def _percentiles(requests: list[Request]) -> str:
    took = sorted(each.end - each.begin for each in requests if each.outcome == "200")
    if not took:
        return "no time"
    median, nearly_all = (took[int(share * (len(took) - 1))] / 1e6 for share in (0.5, 0.99))
    return f"{median:.0f} ms (median), {nearly_all:.0f} ms (99 %), {took[-1] / 1e6:.0f} ms at most"


def report(name: str, history: History, verdict: Verdict) -> None:
    """Print the result of a run."""
    requests = history.requests
    took = max(request.end for request in requests) - min(request.begin for request in requests)
    print(f"--- sessions {name}: {took / 1e9:.0f} s")
    print_counts("requests", outcomes(requests))
    print_faults(history.faults)
    recovered = recoveries(history)
    if recovered:
        print(f"after a failover requests failed for at most {max(recovered) / 1e9:.1f} s")
    successful = sum(read.outcome == "200" for read in history.reads)
    writes = sum(write.outcome == "200" for write in history.writes)
    print(f"{successful + writes:,} operations: {successful:,} reads, {writes:,} answered writes")
    print(f"  {verdict.crossed:,} reads at another instance than the last answered write")
    for kind, found in (("read", history.reads), ("write", history.writes)):
        print(f"  a {kind} took {_percentiles(found)}")
    print_counts("stale reads", Counter(at(history.faults, r.begin) for r, _ in verdict.stale))
    print(f"  {verdict.excused:,} reads of a number whose write was never answered")
    if verdict.stale:
        print(f"  stale for up to {verdict.longest / 1e9:.2f} s after an answer")
    began = min(request.begin for request in requests)
    for read, since in verdict.stale[:_MAX_SHOWN]:
        print(
            f"! user {read.user}, by {read.by}, at {(read.begin - began) / 1e9:.3f} s: read"
            f" {read.number}, {(read.begin - since) / 1e9:.3f} s after a newer one was answered"
            f", {at(history.faults, read.begin)}"
        )
