"""The time of the console's overview among many tasks and keys, and what the console costs."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from statistics import median

from sqlalchemy import text

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.redis_server import RedisServer

from ..applications import read_requests
from ..load import Run, load, request, send
from ..scale import Scale
from ..servers import connected, temporary_redis
from ..tables import Aim, Report, Table, percentiles, ratios, spread
from ..taskprocessing import TaskProcessing, create_database, databases, taskprocessing
from ..usermanagement import usermanagement
from .cache import fill

_PATHS = {"page": "/console", "JSON": "/api/v1/airliner/admin/overview"}
_WAITING = 20_000  # tasks that are due: more than are counted
_CONNECTIONS = 16
_APART_SECONDS = 1.05  # the monitor of jobs keeps a report for a second
_ON = {"CONSOLE": "on", "RATE_LIMIT_ADMIN": "1000000/60"}


def run(scale: Scale) -> Report:
    """Measure both."""
    times, medians = _times(scale)
    costs, kept = _costs(scale)
    aims = [
        Aim("ms of the console's overview, among the most tasks and keys", medians, at_most=50),
        Aim("`GET /users/{id}`, console on ÷ off", kept, at_least=0.98),
    ]
    return Report([times, costs], aims)


def _times(scale: Scale) -> tuple[Table, list[float]]:
    table = Table(("an overview, ms", "p50", "p99"))
    medians: list[float] = []
    with temporary_redis() as (_, folder), databases(folder) as urls:
        for name, url in urls.items():
            for tasks, keys in zip(scale.stored_tasks, scale.cached_keys, strict=True):
                database = create_database(url, f"console_{tasks}")
                with taskprocessing(name, database) as service:
                    _prepare(service, tasks, keys)
                    for kind, milliseconds in _overviews(service, scale).items():
                        what = f"{name}, {tasks:,} tasks, {keys:,} keys, {kind}"
                        table.add(what, *percentiles(milliseconds, (50, 99)))
                        if tasks == scale.stored_tasks[-1]:
                            medians.append(median(milliseconds))
    return table, medians


def _prepare(service: TaskProcessing, tasks: int, keys: int) -> None:
    service.rows.add_ended(tasks)
    with service.rows.engine.begin() as connection:
        due = "UPDATE tasks SET status = 'pending', due_at = created_at WHERE id > :last"
        connection.execute(text(due), {"last": tasks - min(tasks // 2, _WAITING)})
    with connected(service.server, db=1) as client:
        fill(client, keys)


def _overviews(service: TaskProcessing, scale: Scale) -> dict[str, list[float]]:
    """The time of each overview, in ms. None uses what another has read."""
    session_id = _admin_session(service.server)
    found = {}
    service.variables = {**service.variables, **_ON}
    with service.web(workers=1) as port:
        for kind, path in _PATHS.items():
            headers = {"Authorization": f"Bearer {session_id}"}
            message = request("GET", path, headers)
            send(port, message)  # the first one compiles the templates
            done = load(
                port,
                cycle([message]),
                connections=1,
                seconds=scale.watched_seconds,
                rate=1 / _APART_SECONDS,
            )
            found[kind] = [seconds * 1000 for seconds in done.latencies]
    return found


def _admin_session(server: RedisServer) -> str:
    with connected(server) as client:
        admin = {"username": "admin", "role": "admin"}
        return SessionStore(client).create(1, admin).session_id


def _costs(scale: Scale) -> tuple[Table, list[float]]:
    """Reading a user while the console is off, and while it is on and nobody looks at it."""
    runs: dict[str, list[Run]] = {"off": [], "on": []}
    workers = scale.workers[-1]
    with temporary_redis() as (server, folder), ExitStack() as stack:
        ports = {
            name: stack.enter_context(
                usermanagement(server, folder, workers=workers, **variables)
            ).port
            for name, variables in {"off": {}, "on": _ON}.items()
        }
        messages = cycle(read_requests(server, folder, ports["off"], scale.clients))
        for number in range(scale.rounds):
            for name in _in_turns(number):
                connections = _CONNECTIONS * workers
                found = load(ports[name], messages, connections=connections, seconds=scale.seconds)
                runs[name].append(found)
    rates = {name: [each.rate for each in found] for name, found in runs.items()}
    table = Table(("GET a user, console", "requests/s", "÷ off"))
    for name, measured in rates.items():
        table.add(name, spread(measured, 0), spread(ratios(measured, rates["off"])))
    return table, ratios(rates["on"], rates["off"])


def _in_turns(number: int) -> Iterator[str]:
    """Each contender is the first in every second round."""
    names = ["off", "on"]
    yield from names if number % 2 else reversed(names)
