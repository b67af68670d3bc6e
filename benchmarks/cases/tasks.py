"""Tasks: how many a worker completes a second, how soon, and how many are created a second."""

import random
import time
from contextlib import ExitStack

from ..load import load, send
from ..peer_tasks import no_ops_a_second
from ..scale import Scale
from ..servers import PEERS, gunicorn, temporary_redis
from ..tables import Aim, Report, Table, percentiles, ratios, spread
from ..taskprocessing import TaskProcessing, databases, taskprocessing

_NO_OP, _BOOKING = "no_op", "flight_booking"
_AT_LEAST = {_NO_OP: 0.5, _BOOKING: 0.25}  # of Dramatiq's no-ops
_LATENCY_MS = 20  # at most
_DRAMATIQ = "Dramatiq, a no-op"

_Rates = dict[str, list[float]]


def run(scale: Scale) -> Report:
    """Measure all on each kind of database."""
    with temporary_redis() as (_, folder), databases(folder) as urls, ExitStack() as stack:
        receiver = stack.enter_context(
            gunicorn("benchmarks.contenders.receiver", {"LOG_LEVEL": "ERROR"})
        )
        services = [
            stack.enter_context(taskprocessing(name, url, receiver=receiver))
            for name, url in urls.items()
        ]
        webs = [_Web(stack, service, scale.workers) for service in services]
        for web in webs:
            web.create_first()
        with ExitStack() as workers:
            for service in services:
                workers.enter_context(service.worker())
            rates = _rates(services, scale)
            latencies = {web.service.name: web.latencies(scale.timed_tasks) for web in webs}
        created = {web.service.name: web.created_a_second(scale) for web in webs}
    return Report(
        [_table_of_rates(rates), _table_of_latencies(latencies), _table_of_creations(created)],
        _aims(rates, latencies),
    )


def _rates(services: list[TaskProcessing], scale: Scale) -> _Rates:
    """Tasks a second of one worker with eight threads, in turns. Tasks are created all at once."""
    rates: _Rates = {}
    for _ in range(scale.task_rounds):
        if PEERS.is_dir():
            rates.setdefault(_DRAMATIQ, []).append(no_ops_a_second(scale.no_ops))
        for service in services:
            for kind in _AT_LEAST:
                last = service.rows.add_waiting(kind, scale.tasks)
                service.rows.await_completed()
                name = f"{service.name}, {kind}"
                rates.setdefault(name, []).append(service.rows.rate_since(last))
    return rates


class _Web:
    """A service over HTTP, under each number of gunicorn's workers."""

    def __init__(self, stack: ExitStack, service: TaskProcessing, workers: tuple[int, ...]) -> None:
        self.service = service
        self._bookings = service.bookings()
        self._ports = {each: stack.enter_context(service.web(workers=each)) for each in workers}

    def create_first(self) -> None:
        """Create the task that the others copy."""
        self._create()
        self.service.rows.keep_first()

    def latencies(self, count: int) -> list[float]:
        """The ms from created to completed of so many bookings, one after the other."""
        rows = self.service.rows
        last = rows.last()
        for _ in range(count):
            self._create()
            time.sleep(random.uniform(0.2, 0.4))  # not in step with any polling
        rows.await_completed()
        return rows.milliseconds_since(last)

    def created_a_second(self, scale: Scale) -> dict[int, _Rates]:
        """The rates of POST by the number of workers, while no worker of tasks runs."""
        found: dict[int, _Rates] = {workers: {} for workers in self._ports}
        for _ in range(scale.task_rounds):
            for at_once in (1, 8):
                for workers, port in self._ports.items():
                    run = load(
                        port,
                        self._bookings,
                        connections=at_once,
                        seconds=scale.seconds,
                        status=202,
                    )
                    found[workers].setdefault(f"{at_once} at a time", []).append(run.rate)
        return found

    def _create(self) -> None:
        port = next(iter(self._ports.values()))
        response, body = send(port, next(self._bookings))
        if response.status != 202:
            raise SystemExit(f"Creating a task was answered {response.status}: {body!r}")


def _table_of_rates(rates: _Rates) -> Table:
    table = Table(("one worker with eight threads", "tasks/s", "÷ Dramatiq"))
    for name, found in rates.items():
        base = rates.get(_DRAMATIQ)
        table.add(name, spread(found, 0), spread(ratios(found, base)) if base else "-")
    return table


def _table_of_latencies(latencies: dict[str, list[float]]) -> Table:
    table = Table(("ms from created to completed", "p50", "p95", "p99"))
    for name, found in latencies.items():
        table.add(name, *percentiles(found, (50, 95, 99)))
    return table


def _table_of_creations(created: dict[str, dict[int, _Rates]]) -> Table:
    table = Table(("POST /tasks, tasks/s", "workers", "1 at a time", "8 at a time"))
    for name, found in created.items():
        for workers, rates in found.items():
            table.add(name, str(workers), *(spread(each, 0) for each in rates.values()))
    return table


def _aims(rates: _Rates, latencies: dict[str, list[float]]) -> list[Aim]:
    aims = []
    base = rates.get(_DRAMATIQ)
    for name, found in rates.items():
        if base and name != _DRAMATIQ:
            kind = name.rpartition(", ")[2]
            what = f"tasks/s ÷ Dramatiq's no-ops: {name}"
            aims.append(Aim(what, ratios(found, base), at_least=_AT_LEAST[kind]))
    for name, found in latencies.items():
        what = f"ms from created to completed, idle system: {name}"
        aims.append(Aim(what, found, at_most=_LATENCY_MS, digits=0))
    return aims
