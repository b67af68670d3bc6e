"""Reading a user, beside the same on well-known extensions and beside a bare Flask route."""

import time
from contextlib import ExitStack
from itertools import cycle, islice
from statistics import median

import redis

from common.pyportal_common.redis_server import RedisServer

from ..applications import BARE, EXTENSIONS, OURS, Application, start
from ..load import load
from ..plot import bar_chart
from ..scale import Scale
from ..servers import temporary_redis
from ..tables import Aim, Report, Table, percentiles, ratios, spread

_CONNECTIONS = 16  # for each worker, which has eight threads
_PACE = 0.7  # of saturation
_COUNTED = 200  # requests, to count round trips
_WARM_UP = 4  # times as many before: a process that has just started does not fill the cache
_OF_BARE = {1: 0.63, 2: 0.45}  # by workers
_OF_EXTENSIONS = {1: 2.8, 2: 3.3}

_Rates = dict[tuple[str, int], list[float]]


def run(scale: Scale) -> Report:
    """Measure all in turns: noise affects all alike."""
    with temporary_redis() as (server, folder), ExitStack() as stack:
        applications = start(stack, server, folder, scale.workers, scale.clients)
        for one in applications:
            one.trips = _trips(one, server)
        requests = [cycle(one.messages) for one in applications]
        for _ in range(scale.rounds):
            for one, messages in zip(applications, requests, strict=True):
                one.runs.append(
                    load(
                        one.port,
                        messages,
                        connections=_CONNECTIONS * one.workers,
                        seconds=scale.seconds,
                    )
                )
        for _ in range(scale.paced_rounds):
            for one, messages in zip(applications, requests, strict=True):
                one.paced.append(
                    load(
                        one.port,
                        messages,
                        connections=_CONNECTIONS * one.workers,
                        seconds=scale.seconds,
                        rate=_PACE * median(run.rate for run in one.runs),
                    )
                )
    return _report(applications)


def _report(applications: list[Application]) -> Report:
    rates = {(one.name, one.workers): [run.rate for run in one.runs] for one in applications}
    aims = _aims(rates, [one for one in applications if one.name == OURS])
    return Report([_table(applications, rates)], aims, {"reads.svg": _chart(rates)})


def _table(applications: list[Application], rates: _Rates) -> Table:
    table = Table(
        (
            "GET a user",
            "workers",
            "requests/s",
            "÷ bare",
            "÷ extensions",
            "trips",
            "at requests/s",
            "p50 ms",
            "p99 ms",
        )
    )
    for one in sorted(applications, key=lambda one: (one.workers, -median(_rates_of(one)))):
        latencies = [seconds * 1000 for run in one.paced for seconds in run.latencies]
        table.add(
            one.name,
            str(one.workers),
            spread(_rates_of(one), 0),
            *(_ratio(rates, one, base) for base in (BARE, EXTENSIONS)),
            f"{one.trips:.1f}",
            f"{median(run.rate for run in one.paced):.0f}",
            *percentiles(latencies, (50, 99)),
        )
    table.note = _note(applications)
    return table


def _rates_of(one: Application) -> list[float]:
    return [run.rate for run in one.runs]


def _ratio(rates: _Rates, one: Application, base: str) -> str:
    """The cell of a ratio; a dash where the peers are not installed."""
    if (base, one.workers) not in rates:
        return "-"
    return spread(ratios(rates[one.name, one.workers], rates[base, one.workers]))


def _note(applications: list[Application]) -> str:
    """How much the client itself uses."""
    runs = [run for one in applications for run in one.runs]
    used = sum(run.client_seconds for run in runs) / sum(len(run.latencies) for run in runs)
    share = max(run.client_seconds / run.seconds for run in runs)
    return (
        f"The client used {used * 1e6:.0f} µs of a core for a request, "
        f"and at most {share:.0%} of a core in a round."
    )


def _aims(rates: _Rates, ours: list[Application]) -> list[Aim]:
    aims = []
    for base, wanted in ((BARE, _OF_BARE), (EXTENSIONS, _OF_EXTENSIONS)):
        for one in ours:
            if (base, one.workers) in rates:
                found = ratios(rates[OURS, one.workers], rates[base, one.workers])
                what = f"`GET /users/{{id}}` ÷ {base}, workers: {one.workers}"
                aims.append(Aim(what, found, at_least=wanted[one.workers]))
    trips = [one.trips for one in ours]
    return [*aims, Aim("round trips of `GET /users/{id}`", trips, at_most=1, digits=1)]


def _chart(rates: _Rates) -> str:
    groups: dict[str, dict[str, list[float]]] = {}
    for (name, workers), found in rates.items():
        groups.setdefault(f"gunicorn workers: {workers}", {})[name] = found
    return bar_chart("GET /users/{id}: requests a second", groups)


def _trips(one: Application, server: RedisServer) -> float:
    """Redis round trips a request: how often the server had something to read.

    The requests are sent one after the other, so each command or pipeline is one read. Each user
    has read before: nothing is loaded from SQL. What the idle services send in as much time does
    not count.
    """
    messages = list(islice(cycle(one.messages), _COUNTED))
    with redis.Redis(port=server.port) as client:

        def reads() -> int:
            return int(client.info("stats")["total_reads_processed"])

        for message in messages * _WARM_UP:
            one.answer(message)
        before, began = reads(), time.monotonic()
        for message in messages:
            one.answer(message)
        between = reads()
        time.sleep(time.monotonic() - began)
        return max(0, (between - before) - (reads() - between)) / _COUNTED
