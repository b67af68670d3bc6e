"""What is printed about a cache run."""

from collections import Counter

from ..report import print_counts, print_faults
from .checker import Promise, Verdict
from .history import History


def report(history: History, verdict: Verdict) -> None:
    """Print the result of a run."""
    print(f"took {(history.ended - history.began) / 1e9:.0f} s")
    operations = {
        "reads by id": history.reads_by_id,
        "reads by e-mail address": len(history.lookups),
        "answered writes": history.answers,
    }
    print_counts("operations", operations)
    print_counts("failed", history.failed)
    print_faults(history.faults)
    _report_commits(history, verdict)
    print_counts("values compared by the monitor", history.audits)
    print_counts("violations", {promise.value: verdict.violations[promise] for promise in Promise})
    print(f"longest staleness {verdict.longest / 1e9:.2f} s after a COMMIT")
    for line in (*verdict.examples, *history.errors):
        print(f"! {line}")


def _report_commits(history: History, verdict: Verdict) -> None:
    commits = Counter(
        "never answered"
        if attempt.answered is None
        else "answered, and acknowledged by Redis"
        if attempt.unfenced
        else "answered after a wait"
        for chain in history.commits.values()
        for attempt in chain[1:]
    )
    print_counts("commits", commits)
    print(f"  {verdict.fence_lost:,} had no fence at their COMMIT, or may have had none")
    print(f"  {verdict.excused:,} reads were older than what was seen, because a fence was lost")
