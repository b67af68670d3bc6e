"""What is printed about a steady run, and its plot."""

from pathlib import Path

from ..report import print_counts
from ..settings import ROOT
from .chart import line_chart
from .judge import growths
from .run import Outcome

PLOT = ROOT / "docs" / "steady.svg"

_MIB = 2**20


def report(outcome: Outcome) -> None:
    """Print how much each series grew, and the violations."""
    print_counts("responses", outcome.responses)
    for series, (first, added) in growths(outcome.samples).items():
        print(f"  {series.process:<30} {series.quantity:<12} {first:>14,.0f} {added:>+14,.0f}")
    print(f"{len(outcome.violations)} violations")
    for violation in outcome.violations:
        print(f"! {violation}")


def write_plot(outcome: Outcome, path: Path = PLOT) -> None:
    """Replace the plot of the documentation."""
    minutes = [time / 60 for time, _ in outcome.samples]
    panels: dict[str, dict[str, list[float]]] = {}
    for title, quantity, scale in (
        ("Memory of each process (PSS, MiB)", "pss", _MIB),
        ("Descriptors of each process", "descriptors", 1),
        ("Memory of Redis (used_memory, MiB)", "used_memory", _MIB),
        ("Clients of Redis", "clients", 1),
    ):
        names = [series for series in growths(outcome.samples) if series.quantity == quantity]
        panels[title] = {
            series.process: [each[series] / scale for _, each in outcome.samples]
            for series in names
        }
    path.write_text(line_chart(minutes, panels), "utf-8")
