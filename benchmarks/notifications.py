"""Reading the status of notifications while others are delivered, beside a bare Flask route."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.redis_server import RedisServer

from .figures import print_row
from .load import Run, figures_of, load, request, send
from .scale import Scale
from .servers import NOTIFICATION, connected, gunicorn, migrate, running, temporary_redis

_API = "/api/v1/airliner/notifications"
_TOKEN = "benchmarks-of-notifications"
_CONNECTIONS = 8
_POLLED = 100  # notifications
_CREATED_A_SECOND = 20  # notifications, while the others are polled


def run(scale: Scale) -> None:
    """Print the rate of polls, and how many of them read SQL."""
    with temporary_redis() as (server, folder), ExitStack() as stack:
        variables = _variables(server, folder)
        migrate(NOTIFICATION, variables)
        port = stack.enter_context(gunicorn("wsgi", variables, directory=NOTIFICATION))
        stack.enter_context(running(["app.worker"], variables, directory=NOTIFICATION))
        client = stack.enter_context(connected(server))
        session = SessionStore(client).create(7, {"role": "user"})
        polls = [_poll(_create(port), session.session_id) for _ in range(_POLLED)]
        _, status = send(port, polls[0])
        bare = {"RESPONSE_JSON": status.decode(), "LOG_LEVEL": "ERROR"}
        floor = stack.enter_context(gunicorn("benchmarks.contenders.bare", bare))
        _compare(port, floor, polls, scale)


def _compare(port: int, floor: int, polls: list[bytes], scale: Scale) -> None:
    bare = cycle([request("GET", "/api/v1/airliner/users/1", {})])
    requests, floors, ours = cycle(polls), list[Run](), list[Run]()
    measure = partial(load, connections=_CONNECTIONS, seconds=scale.load_seconds)
    before = _reads_of_sql(port)
    with _creating(port):
        for _ in range(scale.load_rounds):
            floors.append(measure(floor, bare))
            ours.append(measure(port, requests))
    reads = _reads_of_sql(port) - before
    print_row("status polls", "req/s", "ratio", "p50 ms", "p99 ms")
    for name, runs in (("a bare Flask route", floors), ("GET …/status", ours)):
        print_row(name, *figures_of(runs, floors))
    count = sum(len(run.latencies) for run in ours)
    print(f"\n{reads:.0f} of {count} polls read SQL; {1 - reads / count:.2%} did not")


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
