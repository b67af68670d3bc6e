"""What a second replica of each service costs: without requests, and with as many as one gets."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle

from common.pyportal_common.redis_server import free_port

from .. import costs
from ..load import Run, load, request
from ..meter import Meter, Used, commands_of_clients
from ..portal import SERVICES, Portal, portal
from ..scale import Scale
from ..tables import Report, Table, percentiles, ratios, spread
from ..usermanagement import API

_WORKERS = 2  # of gunicorn, of each service in each replica
_CONNECTIONS = 16
_FEW, _READS, _WRITES = 20, 300, 30  # requests a second, at all replicas together
_COMMANDS = {
    "sessions:ended": "ends of sessions",
    "cache:marker": "restarts of Redis",
    "cache:renewal": "renewals of trust",
    "session:": "requests",
}
_OTHERS = "others"

Figures = dict[str, float]
Ports = Sequence[Mapping[str, int]]  # of each replica


def run(scale: Scale) -> Report:
    """Measure one replica and two in turns, with the same Redis, PostgreSQL and rows."""
    rounds: defaultdict[str, list[tuple[Figures, Figures]]] = defaultdict(list)
    with portal(gunicorn_workers=_WORKERS) as running, closing(Meter(running)) as meter:
        replicas = _Replicas(running, meter, scale)
        first, second = running.ports, {name: free_port() for name in SERVICES}
        for _ in range(scale.replica_rounds):
            one = replicas.measure([first])
            with running.serving(second):
                two = replicas.measure([first, second])
            for title, figures in one.items():
                rounds[title].append((figures, two[title]))
    return Report([_table(title, found) for title, found in rounds.items()])


class _Replicas:
    """Measures the replicas that run."""

    def __init__(self, portal: Portal, meter: Meter, scale: Scale) -> None:
        self._portal = portal
        self._meter = meter
        self._seconds = scale.replica_seconds
        _, users = portal.add_users(scale.clients)
        headers = portal.sessions(users)
        reads = [
            request("GET", f"{API}/users/{user}", header)
            for user, header in zip(users, headers, strict=True)
        ]
        body = json.dumps({"taskType": "flight_booking", "parameters": {"flightId": 1, "seats": 1}})
        writes = [request("POST", f"{API}/tasks", header, body) for header in headers]
        self._reads, self._writes = cycle(reads), cycle(writes)

    def measure(self, replicas: Ports) -> dict[str, Figures]:
        """The figures by the titles of their tables."""
        self._read(replicas, _READS)  # fills caches, opens connections, and loads what is lazy
        self._write(replicas)
        time.sleep(self._seconds)  # until trust is no longer renewed
        with self._meter.during() as idle:
            commands = self._commands()
        with ThreadPoolExecutor() as pool:
            few = pool.submit(self._read, replicas, _FEW)
            commands_of_few = self._commands()
            few.result()
        with self._meter.during() as reading:
            reads = self._read(replicas, _READS)
        with self._meter.during() as writing:
            writes = self._write(replicas)
        return {
            "a second without requests": commands | _processor(idle()),
            f"a second with {_FEW} reads": commands_of_few,
            f"{costs.GET_USER}, {_READS} a second": _each(reading(), idle(), reads),
            f"{costs.POST_BOOKING}, {_WRITES} a second": _each(writing(), idle(), writes),
            "after these requests": self._held(),
        }

    def _read(self, replicas: Ports, rate: float) -> Run:
        return self._load(replicas, "usermanagement", self._reads, rate)

    def _write(self, replicas: Ports) -> Run:
        return self._load(replicas, "taskprocessing", self._writes, _WRITES, status=202)

    def _load(
        self,
        replicas: Ports,
        service: str,
        requests: Iterator[bytes],
        rate: float,
        *,
        status: int = 200,
    ) -> Run:
        return load(
            [ports[service] for ports in replicas],
            requests,
            connections=_CONNECTIONS,
            seconds=self._seconds,
            status=status,
            rate=rate,
        )

    def _commands(self) -> Figures:
        """The commands that Redis receives in a second, by what they are for."""
        counts = Counter(
            map(_purpose, commands_of_clients(self._portal.server.port, self._seconds))
        )
        return {
            f"commands: {each}": counts[each] / self._seconds
            for each in (*_COMMANDS.values(), _OTHERS)
        }

    def _held(self) -> Figures:
        """What is held after a load."""
        to_redis, to_sql = self._meter.connections()
        memory = self._meter.memory_mb(self._portal.pids)
        return {
            "connections to Redis": to_redis,
            "connections to PostgreSQL": to_sql,
            "MB of services (PSS)": memory,
        }


def _purpose(command: str) -> str:
    return next((name for key, name in _COMMANDS.items() if key in command), _OTHERS)


def _processor(used: Used) -> Figures:
    """Milliseconds of processor time in a second."""
    cost = used.per_second()
    return {
        "ms of services": cost.app_us / 1e3,
        "ms of Redis": cost.redis_us / 1e3,
        "ms of PostgreSQL": cost.sql_us / 1e3,
    }


def _each(used: Used, idle: Used, run: Run) -> Figures:
    """What one request costs beyond what idle replicas use."""
    cost = used.without(idle).of_each(len(run.latencies))
    p50, p99 = percentiles([1e3 * each for each in run.latencies], (50, 99))
    return {
        "µs of services": cost.app_us,
        "µs of Redis": cost.redis_us,
        "µs of PostgreSQL": cost.sql_us,
        "round trips to Redis": cost.trips,
        "ms until the response, p50": float(p50),
        "ms until the response, p99": float(p99),
    }


def _table(title: str, rounds: Sequence[tuple[Figures, Figures]]) -> Table:
    table = Table((title, "1 replica", "2 replicas", "÷"))
    for name in rounds[0][0]:
        one, two = ([figures[name] for figures in each] for each in zip(*rounds, strict=True))
        if any((*one, *two)) or not name.startswith("commands"):
            digits = 0 if max(two) >= 20 else 1
            ratio = spread(ratios(two, one)) if all(one) else "-"
            table.add(name, spread(one, digits), spread(two, digits), ratio)
    return table
