"""What a benchmark reports: tables in Markdown, and aims that its figures meet or miss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median of the rounds, and the least and the greatest: `0.37 (0.33-0.41)`."""
    middle, least, most = (
        f"{value:.{digits}f}" for value in (median(values), min(values), max(values))
    )
    return f"{middle} ({least}-{most})"


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """The ratio of both in each round."""
    return [value / of for value, of in zip(values, base, strict=True)]


def percentiles(values: Sequence[float], which: Sequence[int], digits: int = 1) -> list[str]:
    """Cells with these percentiles of `values`."""
    ordered = sorted(values)
    return [f"{ordered[(len(ordered) - 1) * each // 100]:.{digits}f}" for each in which]


@dataclass
class Table:
    """Rows of cells. The first column names what was measured."""

    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def add(self, name: str, *cells: str) -> None:
        """Add a row."""
        self.rows.append((name, *cells))

    def markdown(self) -> str:
        """The table, readable in a terminal as well, and the note below it."""
        columns = zip(self.columns, *self.rows, strict=True)
        widths = [max(3, *map(len, column)) for column in columns]
        rule = [
            ("-" * width if n == 0 else "-" * (width - 1) + ":") for n, width in enumerate(widths)
        ]
        lines = [_line(cells, widths) for cells in (self.columns, rule, *self.rows)]
        return "\n".join(lines) + (f"\n\n{self.note}" if self.note else "")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


@dataclass(frozen=True)
class Aim:
    """What a figure should be. `values` are those of the rounds; their median counts."""

    what: str
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 2

    @property
    def is_met(self) -> bool:
        """Whether the median is within the bounds."""
        middle = round(median(self.values), self.digits)
        too_small = self.at_least is not None and middle < self.at_least
        too_large = self.at_most is not None and middle > self.at_most
        return not (too_small or too_large)

    @property
    def wanted(self) -> str:
        """The bound, as a reader knows it."""
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass
class Report:
    """The results of one benchmark. `images` are files for this folder, by name."""

    tables: list[Table]
    aims: list[Aim] = field(default_factory=list)
    images: Mapping[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """All tables."""
        return "\n\n".join(table.markdown() for table in self.tables)


def table_of(aims: Sequence[Aim]) -> Table:
    """The aims of all benchmarks, and what was measured."""
    table = Table(("aim", "wanted", "measured", ""))
    for aim in aims:
        measured = spread(aim.values, aim.digits)
        table.add(aim.what, aim.wanted, measured, "met" if aim.is_met else "missed")
    return table
