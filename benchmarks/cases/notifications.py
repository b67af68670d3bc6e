"""Reading the status of notifications while others are delivered, beside a bare Flask route."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.redis_server import RedisServer

from ..load import Run, load, request, send
from ..scale import Scale
from ..servers import NOTIFICATION, connected, gunicorn, migrate, running, temporary_redis
from ..tables import Report, Table, ratios, spread

_API = "/api/v1/airliner/notifications"
_TOKEN = "benchmarks-of-notifications"
_CONNECTIONS = 16  # for each worker
_BARE, _OURS = "a bare Flask route", "GET …/status"
_POLLED = 100  # notifications
_CREATED_A_SECOND = 20  # notifications, while the others are polled


def run(scale: Scale) -> Report:
    """Measure polls of statuses, and how many of them read SQL."""
    with temporary_redis() as (server, folder), ExitStack() as stack:
        variables = _variables(server, folder)
        migrate(NOTIFICATION, variables)
        services = {
            workers: stack.enter_context(
                gunicorn("wsgi", variables, workers=workers, directory=NOTIFICATION)
            )
            for workers in scale.workers
        }
        port = services[scale.workers[0]]
        stack.enter_context(running(["app.worker"], variables, directory=NOTIFICATION))
        client = stack.enter_context(connected(server))
        session = SessionStore(client).create(7, {"role": "user"})
        polls = [_poll(_create(port), session.session_id) for _ in range(_POLLED)]
        bare = {"RESPONSE_JSON": send(port, polls[0])[1].decode(), "LOG_LEVEL": "ERROR"}
        floors = {
            workers: stack.enter_context(
                gunicorn("benchmarks.contenders.bare", bare, workers=workers)
            )
            for workers in scale.workers
        }
        return Report([_compare(services, floors, polls, scale)])


def _compare(
    services: dict[int, int], floors: dict[int, int], polls: list[bytes], scale: Scale
) -> Table:
    bare = [request("GET", "/api/v1/airliner/users/1", {})]
    contenders = [
        (name, workers, port, cycle(messages))
        for workers in services
        for name, port, messages in (
            (_BARE, floors[workers], bare),
            (_OURS, services[workers], polls),
        )
    ]
    runs: dict[tuple[str, int], list[Run]] = {}
    before = sum(map(_reads_of_sql, services.values()))
    with _creating(services[scale.workers[0]]):
        for _ in range(scale.rounds):
            for name, workers, port, messages in contenders:
                run = load(
                    port, messages, connections=_CONNECTIONS * workers, seconds=scale.seconds
                )
                runs.setdefault((name, workers), []).append(run)
    reads = sum(map(_reads_of_sql, services.values())) - before
    return _table(runs, reads)


def _table(runs: dict[tuple[str, int], list[Run]], reads: float) -> Table:
    table = Table(("status polls", "workers", "requests/s", "÷ bare"))
    for (name, workers), found in runs.items():
        rates, floor = ([run.rate for run in each] for each in (found, runs[_BARE, workers]))
        table.add(name, str(workers), spread(rates, 0), spread(ratios(rates, floor)))
    count = sum(
        len(run.latencies) for (name, _), each in runs.items() for run in each if name == _OURS
    )
    share = 1 - reads / count
    table.note = f"{reads:.0f} of {count} polls read SQL; {share:.2%} did not."
    return table


def _variables(server: RedisServer, folder: Path) -> dict[str, str]:
    return {
        "REDIS_URL": server.url,
        "REDIS_DB": "2",
        "DATABASE_URL": f"sqlite:///{folder}/notifications.sqlite3",
        "DATA_DIR": str(folder),
        "SERVICE_TOKENS": f"benchmarks:{_TOKEN}",
        "RATE_LIMIT_DELIVERIES": "1000000/60",
        "LOG_LEVEL": "ERROR",
    }


@contextmanager
def _creating(port: int) -> Iterator[None]:
    """Notifications are created during the block, so that there are deliveries to make."""
    ended = threading.Event()

    def create() -> None:
        while not ended.wait(1 / _CREATED_A_SECOND):
            _create(port)

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _create(port: int) -> int:
    body = {
        "channel": "email",
        "userId": 7,
        "recipient": "john@example.com",
        "subject": "Boarding",
        "message": "Gate 7.",
    }
    message = request("POST", _API, {"X-Service-Token": _TOKEN}, json.dumps(body))
    response, text = send(port, message)
    if response.status != 202:
        raise SystemExit(f"Creating a notification was answered {response.status}: {text!r}")
    return int(json.loads(text)["notification"]["notificationId"])


def _poll(notification_id: int, session_id: str) -> bytes:
    path = f"{_API}/{notification_id}/status"
    return request("GET", path, {"Authorization": f"Bearer {session_id}"})


def _reads_of_sql(port: int) -> float:
    """How often a status was read from SQL so far."""
    time.sleep(0.5)  # a value that is loaded in the background is counted by then
    _, text = send(port, request("GET", "/metrics", {}))
    pattern = rb'^cache_events_total\{cache="notification:status",event="load"\} (\S+)$'
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) if found else 0.0
