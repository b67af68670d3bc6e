"""What requests, keys, rows and processes cost, and a tenth of a plan beside its sheet."""

from collections.abc import Mapping
from dataclasses import fields

from .. import cost_measurement, costs
from ..copies import deleted_a_second
from ..cost_measurement import Costs
from ..costs import ProcessCost, RequestCost
from ..plan_check import compare
from ..portal import portal
from ..scale import Scale
from ..tables import Report, Table

_OVERHEAD = "bytes of a key beyond MEMORY USAGE"
_WORKERS = 2  # of gunicorn, of each service


def run(scale: Scale) -> Report:
    """Measure all, and compare it with the constants."""
    with portal(gunicorn_workers=_WORKERS) as running:
        found = cost_measurement.measure(running, scale, gunicorn_workers=_WORKERS)
        tenth, overhead = compare(running, scale)
        found.numbers[costs.DELETED] = deleted_a_second(running)
    found.numbers[_OVERHEAD] = overhead
    return Report([*_tables(found), tenth])


def _tables(found: Costs) -> list[Table]:
    return [
        _requests(found.requests),
        _numbers("bytes of a key by MEMORY USAGE", found.keys, costs.KEY_BYTES),
        _numbers("bytes of a row with its indexes", found.rows, costs.ROW_BYTES),
        _processes(found.processes),
        _numbers("others", found.numbers, _OTHERS),
    ]


_OTHERS = {
    costs.DELETED: costs.DELETED_ROWS_PER_SECOND,
    _OVERHEAD: costs.KEY_OVERHEAD_BYTES,
}


def _requests(found: Mapping[str, RequestCost]) -> Table:
    names = (
        "µs of services",
        "of Redis",
        "of PostgreSQL",
        "round trips",
        "commits",
        "bytes of WAL",
    )
    table = Table(("each", *(cell for name in names for cell in (name, "÷"))))
    for kind, cost in found.items():
        table.add(kind, *_compared(cost, costs.REQUESTS[kind]))
    table.note = "÷: divided by the constant, from which plans are computed."
    return table


def _processes(found: Mapping[str, ProcessCost]) -> Table:
    names = ("to Redis", "to PostgreSQL", "MB of PSS")
    table = Table(("connections of a process", *(cell for name in names for cell in (name, "÷"))))
    for kind, cost in found.items():
        table.add(kind, *_compared(cost, costs.PROCESSES[kind]))
    return table


def _compared(found: RequestCost | ProcessCost, constant: RequestCost | ProcessCost) -> list[str]:
    cells = []
    for each in fields(found):
        value, expected = getattr(found, each.name), getattr(constant, each.name)
        digits = 0 if value >= 20 else 2
        cells += [f"{value:.{digits}f}", _ratio(value, expected)]
    return cells


def _numbers(title: str, found: Mapping[str, float], constants: Mapping[str, float]) -> Table:
    table = Table((title, "measured", "constant", "÷"))
    for name, constant in constants.items():
        if name in found:
            value = found[name]
            table.add(name, f"{value:.0f}", f"{constant:.0f}", _ratio(value, constant))
    return table


def _ratio(value: float, constant: float) -> str:
    """A dash where the constant is so small that noise decides."""
    return f"{value / constant:.2f}" if constant >= 0.05 else "-"
