"""Requests that wait for a task to change, beside clients that poll it once a second."""

import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from common.pyportal_common.cache_handlers import SessionStore

from ..load import request, send
from ..processes import usage_of_tree
from ..scale import Scale
from ..servers import connected
from ..tables import Report, Table, percentiles, spread
from ..taskprocessing import TaskProcessing, taskprocessing

_TASKS = "/api/v1/airliner/tasks"
_CLIENTS = 2  # as many as may wait in a process
_SETTLE_SECONDS = 0.3  # until a request waits


def run(scale: Scale) -> Report:
    """Measure a gunicorn with one process, without a worker: its tasks wait, too."""
    with (
        tempfile.TemporaryDirectory() as folder,
        taskprocessing("SQLite", f"sqlite:///{folder}/tasks.sqlite3") as service,
        service.web(workers=1) as port,
        ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        clients = _Clients(service, port, pool)
        return Report([_cpu(clients, scale), _delays(clients, scale.timed_tasks)])


class _Clients:
    """Clients of one user's tasks, each in its thread."""

    def __init__(self, service: TaskProcessing, port: int, pool: ThreadPoolExecutor) -> None:
        with connected(service.server) as client:
            session = SessionStore(client).create(7, {"role": "user"})
        self._headers = {"Authorization": f"Bearer {session.session_id}"}
        self._port = port
        self._pool = pool

    def create(self) -> str:
        """The path of a new task."""
        body = '{"taskType": "data_export", "parameters": {}}'
        response, _ = send(self._port, request("POST", _TASKS, self._headers, body))
        return str(response.headers["Location"])

    def poll(self, task: str, seconds: int) -> None:
        """All poll the task once a second."""

        def poll(_: int) -> None:
            for _ in range(seconds):
                send(self._port, request("GET", task, self._headers))
                time.sleep(1)

        list(self._pool.map(poll, range(_CLIENTS)))

    def wait(self, task: str, seconds: int) -> None:
        """All wait for a change of the task, which does not come."""
        list(self._pool.map(lambda _: self._wait(task, seconds), range(_CLIENTS)))

    def delay(self) -> float:
        """The ms from sending a cancellation until a request that waits for it has its response."""
        task = self.create()
        ended_at = self._pool.submit(self._wait, task, 10)
        time.sleep(_SETTLE_SECONDS + random.random())  # at any time between two looks
        began = time.perf_counter()
        send(self._port, request("POST", f"{task}/cancel", self._headers))
        return (ended_at.result() - began) * 1000

    def _wait(self, task: str, seconds: int) -> float:
        headers = {**self._headers, "Prefer": f"wait={seconds}"}
        response, _ = send(self._port, request("GET", task, headers))
        if "Preference-Applied" not in response.headers:
            raise SystemExit("A request did not wait.")
        return time.perf_counter()


def _cpu(clients: _Clients, scale: Scale) -> Table:
    seconds, task = scale.waited_seconds, clients.create()
    loads: Mapping[str, Callable[[], None]] = {
        "do nothing": lambda: time.sleep(seconds),
        "poll once a second": lambda: clients.poll(task, seconds),
        "wait": lambda: clients.wait(task, seconds),
    }
    found: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(scale.waited_rounds):
        for name, load in loads.items():
            before = _cpu_seconds()
            load()
            found[name].append((_cpu_seconds() - before) * 1000 / seconds)
    table = Table(("two clients that …", "ms of processor time a second"))
    for name, milliseconds in found.items():
        table.add(name, spread(milliseconds, 1))
    return table


def _cpu_seconds() -> float:
    return usage_of_tree(os.getpid())["taskprocessing, gunicorn"].cpu


def _delays(clients: _Clients, count: int) -> Table:
    delays = [clients.delay() for _ in range(count)]
    table = Table(("ms from a change to the response", "p50", "p95", "max"))
    table.add("a request that waits", *percentiles(delays, (50, 95, 100), digits=0))
    return table
