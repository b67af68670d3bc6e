"""What is printed of a run."""

from collections import Counter

from .check import Level, Verdict
from .history import History


def report(history: History, verdict: Verdict) -> None:
    """Print it."""
    seconds = (history.ended - history.began) / 1e9
    print(f"{history.operations:,} operations in {seconds:.0f} s")
    print(f"  reads by id                {_read_by_id(history):>9,}")
    print(f"  reads by e-mail address    {len(history.lookups):>9,}")
    print(f"  answered writes            {history.answers:>9,}")
    for what, times in sorted(history.failed.items()):
        print(f"  failed: {what:<32} {times:>6,}")
    _report_faults(history)
    _report_writes(history, verdict)
    print("violations")
    for level in Level:
        print(f"  {level.value:<44} {verdict.violations[level]:>9,}")
    print(f"  (older than what was seen, a fence being lost {verdict.excused:>9,})")
    print(
        f"longest staleness {verdict.longest / 1e9:.2f} s,"
        f" of that with Redis in reach {verdict.longest_within_reach / 1e9:.2f} s"
    )
    for line in (*verdict.examples, *history.broken):
        print(f"! {line}")


def _read_by_id(history: History) -> int:
    return len(history.reads) - sum(lookup.found for lookup in history.lookups)


def _report_faults(history: History) -> None:
    times, lasted = Counter[str](), Counter[str]()
    for fault in history.faults:
        times[fault.kind] += 1
        lasted[fault.kind] += fault.end - fault.begin
    print(f"{sum(times.values())} faults")
    for kind, number in sorted(times.items()):
        print(f"  {kind:<26} {number:>9}   {lasted[kind] / 1e9:>6.1f} s")


def _report_writes(history: History, verdict: Verdict) -> None:
    committed = [attempt for chain in history.commits.values() for attempt in chain[1:]]
    told = sum(attempt.sure for attempt in committed)
    deaf = sum(attempt.answered is not None and not attempt.sure for attempt in committed)
    print(f"{len(committed):,} commits")
    print(f"  answered, Redis having heard      {told:>9,}")
    print(f"  answered, Redis not having heard  {deaf:>9,}")
    print(f"  never answered                    {len(committed) - told - deaf:>9,}")
    print(f"  of these two, the bound ran out   {verdict.bounded:>9,}")
    print(f"  of all, without a fence in time   {verdict.unfenced:>9,}")
