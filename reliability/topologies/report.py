"""The table of the results."""

from collections.abc import Sequence

from benchmarks.results import write_figures

from ..report import print_counts
from ..settings import ROOT
from .judge import Result

PAGE = ROOT / "docs" / "reliability.md"

_HEADINGS = (
    "fault", "requests", "503", "p99", "first success", "last error", "stale", "over a limit",
    "SQL rows lost", "sessions lost", "oldest of them", "logouts undone", "not replicated",
)  # fmt: skip


def report(topology: str, results: Sequence[Result]) -> None:
    """Print the results, and what they violate."""
    print(markdown(results))
    for result in results:
        print_counts(f"requests failed of {topology}, {result.fault}", result.failed)
        for violation in result.violations:
            print(f"! {topology}, {result.fault}: {violation}")
    print(f"{sum(len(result.violations) for result in results)} violations")


def write(topology: str, results: Sequence[Result]) -> None:
    """Replace the table of the documentation."""
    write_figures(topology, markdown(results), PAGE)


def markdown(results: Sequence[Result]) -> str:
    """A table with a row for each fault."""
    rows = [_HEADINGS, ("---",) + ("--:",) * (len(_HEADINGS) - 1), *map(_row, results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(result: Result) -> tuple[str, ...]:
    return (
        f"`{result.fault}`",
        f"{result.requests:,}",
        f"{result.errors['503']:,}",
        f"{result.p99:.2f} s",
        _seconds(result.first_success),
        _seconds(result.last_error),
        str(result.stale),
        str(result.excess),
        str(result.lost_rows),
        str(result.lost_sessions),
        _seconds(result.oldest_loss),
        str(result.undone_logouts),
        "—" if result.lag is None else f"{result.lag:,} B",
    )


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} s"
