"""The sheet of a plan: `python -m benchmarks plan --users 1e6 --rps 5000`."""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from . import costs
from .plan import (
    SIZES,
    Workload,
    at_size,
    bounds,
    bytes_of_a_key,
    connections_of,
    keys_of,
    processes_of,
    redis_bytes,
    rows_of,
    sql_bytes,
    use_of,
)
from .tables import Table

_GB = 1e9


def tables(load: Workload) -> Iterator[Table]:
    """The sheet."""
    yield _table_of_processors(load)
    yield _table_of_keys(load)
    yield _table_of_rows(load)
    yield _table_of_processes(load)
    yield _table_of_bounds(load)


def _table_of_processors(load: Workload) -> Table:
    table = Table(
        (
            "a second",
            "rate",
            "services, cores",
            "Redis, cores",
            "PostgreSQL, cores",
            "round trips",
            "commits",
        )
    )
    for kind, rate in load.rates().items():
        cost = costs.REQUESTS[kind]
        cores = (f"{rate * us / 1e6:.3f}" for us in (cost.app_us, cost.redis_us, cost.sql_us))
        table.add(
            kind, _number(rate), *cores, _number(rate * cost.trips), _number(rate * cost.commits)
        )
    use = use_of(load)
    total = (f"{each:.3f}" for each in (use.app_cores, use.redis_cores, use.sql_cores))
    table.add("in all", _number(load.rps), *total, _number(use.trips), _number(use.commits))
    return table


def _table_of_keys(load: Workload) -> Table:
    table = Table(("in Redis", "keys", "bytes each", "MB"))
    for kind, count in keys_of(load).items():
        size = bytes_of_a_key(kind, load)
        table.add(kind, _number(count), f"{size:.0f}", f"{count * size / 1e6:.1f}")
    total = sum(keys_of(load).values())
    table.add(
        "in all",
        _number(total),
        f"{redis_bytes(load) / max(1, total):.0f}",
        f"{redis_bytes(load) / 1e6:.1f}",
    )
    return table


def _table_of_rows(load: Workload) -> Table:
    table = Table(("in PostgreSQL", "rows a day", "rows kept", "bytes each", "GB"))
    for name, (daily, kept) in rows_of(load).items():
        size = costs.ROW_BYTES[name]
        table.add(name, _number(daily), _number(kept), f"{size:.0f}", f"{kept * size / _GB:.2f}")
    return table


def _table_of_processes(load: Workload) -> Table:
    table = Table(("processes", "number", "to Redis", "to PostgreSQL", "memory, GB"))
    for kind, count in processes_of(load).items():
        cost = costs.PROCESSES[kind]
        table.add(
            kind,
            _number(count),
            _number(math.ceil(count * cost.redis_connections)),
            _number(math.ceil(count * cost.sql_connections)),
            f"{count * cost.memory_mb / 1e3:.1f}",
        )
    return table


def _table_of_bounds(load: Workload) -> Table:
    table = Table(("of one server", "used", "bound", "share", "above it"))
    for each in bounds(load):
        table.add(
            each.what, _number(each.used), _number(each.bound), f"{each.share:.2f}", each.then
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_MOST = 1e12  # beyond it the sheet says nothing


def _number_up_to(most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        with suppress(ValueError):
            if 0 < (number := float(text)) <= most:
                return number
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, up to {most:g}")

    return parse


def main(arguments: Sequence[str]) -> None:
    """Print the sheet for the numbers that the command line gives."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plan", description=__doc__)
    parser.add_argument(
        "--users", type=_number_up_to(_MOST), required=True, help="who have registered"
    )
    parser.add_argument(
        "--rps", type=_number_up_to(_MOST), required=True, help="requests a second at a peak"
    )
    for name, (what, most) in _OPTIONS.items():
        default = getattr(Workload, name)
        kind = _number_up_to(most)
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{what} ({default:g})")
    given = vars(parser.parse_args(arguments))
    print(sheet(Workload(**given)))


_OPTIONS = {
    "active": ("the share of users who have used the portal in the last hour", 1.0),
    "recent": ("the share of users who have logged in within half a day", 1.0),
    "peak": ("the peak divided by the average of a day", 1000.0),
}


def sheet(load: Workload) -> str:
    """The sheet, in Markdown."""
    title = f"{load.users:,.0f} users, {load.rps:,.0f} requests a second at a peak"
    return "\n\n".join([title, *(table.markdown() for table in tables(load))])


def overview() -> Table:
    """What three sizes need, for the page."""
    loads = [at_size(users) for users in SIZES]
    table = Table(("users", *(_number(each.users) for each in loads)))
    for what, value in _OVERVIEW.items():
        table.add(what, *(_number(value(each)) for each in loads))
    return table


def overview_of_bounds() -> Table:
    """How much of each bound of one server three sizes need, for the page."""
    shares = [{each.what: each for each in bounds(at_size(users))} for users in SIZES]
    table = Table(("share of one server", *(_number(users) for users in SIZES), "above 1"))
    for what, largest in shares[-1].items():
        table.add(what, *(f"{each[what].share:.2f}" for each in shares), largest.then)
    return table


_OVERVIEW: Mapping[str, Callable[[Workload], float]] = {
    "requests a second, at a peak": lambda load: load.rps,
    "keys in Redis": lambda load: sum(keys_of(load).values()),
    "Redis, GB": lambda load: redis_bytes(load) / _GB,
    "Redis, cores": lambda load: use_of(load).redis_cores,
    "round trips to Redis a second": lambda load: use_of(load).trips,
    "services, cores": lambda load: use_of(load).app_cores,
    "gunicorn processes": lambda load: processes_of(load)["gunicorn"],
    "workers": lambda load: processes_of(load)["worker"],
    "connections to Redis": lambda load: math.ceil(connections_of(load)[0]),
    "connections to PostgreSQL": lambda load: math.ceil(connections_of(load)[1]),
    "PostgreSQL, cores": lambda load: use_of(load).sql_cores,
    "commits a second": lambda load: use_of(load).commits,
    "kB of WAL a second": lambda load: use_of(load).wal_bytes / 1e3,
    "rows written a day": lambda load: sum(daily for daily, _ in rows_of(load).values()),
    "rows kept": lambda load: sum(kept for _, kept in rows_of(load).values()),
    "PostgreSQL, GB": lambda load: sql_bytes(load) / _GB,
}
