"""How long the first page of a process takes, and how many pages it makes a second."""

import time
from itertools import cycle
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from ..applications import read_requests
from ..load import Run, load, request, send
from ..scale import Scale
from ..servers import temporary_redis
from ..tables import Aim, Report, Table, ratios, spread
from ..usermanagement import usermanagement

_CONNECTIONS = 16  # for each worker, which has eight threads
_JSON = "JSON of a user"
_PAGES = {"the page of a user": b"/app/profile", "the page to log in": b"/app/login"}


def run(scale: Scale) -> Report:
    """Measure both."""
    with temporary_redis() as (server, folder):
        first = [_first_page(server, folder) for _ in range(scale.trust_rounds)]
        runs = _measure(server, folder, scale)
    table = Table(("one process after another", "ms"))
    table.add("the first page that it makes", spread(first, 0))
    aims = [Aim("ms of the first page of a process", first, at_most=100)]
    return Report([table, _table(runs)], aims)


def _first_page(server: RedisServer, folder: Path) -> float:
    """Its template is compiled. What is not about pages is done before."""
    with usermanagement(server, folder, workers=1) as users:
        send(users.port, request("GET", "/health", {}))
        began = time.perf_counter()
        send(users.port, request("GET", "/app/login", {}))
        return (time.perf_counter() - began) * 1000


def _measure(server: RedisServer, folder: Path, scale: Scale) -> dict[str, list[Run]]:
    """The same users read JSON and pages, in turns."""
    workers = scale.workers[-1]
    with usermanagement(server, folder, workers=workers) as users:
        reads = read_requests(server, folder, users.port, scale.clients)
        messages = {_JSON: reads} | {
            name: [_with_path(each, path) for each in reads] for name, path in _PAGES.items()
        }
        runs: dict[str, list[Run]] = {name: [] for name in messages}
        for _ in range(scale.rounds):
            for name, each in messages.items():
                found = load(
                    users.port,
                    cycle(each),
                    connections=_CONNECTIONS * workers,
                    seconds=scale.seconds,
                )
                runs[name].append(found)
    return runs


def _with_path(message: bytes, path: bytes) -> bytes:
    method, _, rest = message.split(b" ", 2)
    return b" ".join([method, path, rest])


def _table(runs: dict[str, list[Run]]) -> Table:
    rates = {name: [each.rate for each in found] for name, found in runs.items()}
    table = Table(("a user who is logged in", "requests/s", f"÷ {_JSON}"))
    for name, measured in rates.items():
        table.add(name, spread(measured, 0), spread(ratios(measured, rates[_JSON])))
    return table
