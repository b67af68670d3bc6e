"""Asking how far a notification has come, again and again, beside a bare Flask route."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles

from common.pyportal_common.cache_handlers import RedisSettings, SessionStore, get_redis_client
from common.pyportal_common.redis_server import RedisServer

from .load import Run, ask, load, request
from .servers import ROOT, gunicorn, own_redis

_SERVICE = ROOT / "notification-service"
_API = "/api/v1/airliner/notifications"
_TOKEN = "benchmarks-of-notifications"
_ROUNDS = 7
_SECONDS = 1.0  # of a round
_CONNECTIONS = 8
_FOLLOWED = 100  # notifications that are asked for
_A_SECOND = 20  # that are taken on and delivered meanwhile


def run() -> None:
    """Print how many polls a second there are, and how many of them asked SQL."""
    with own_redis() as (server, folder), ExitStack() as stack:
        variables = _variables(server, folder)
        port = stack.enter_context(_service(variables))
        stack.enter_context(_worker(variables))
        followed = [_take_on(port) for _ in range(_FOLLOWED)]
        session = SessionStore(
            get_redis_client(0, settings=RedisSettings.load(url=server.url, _env_file=None))
        ).create(7, {"role": "user"})
        polls = [_poll(one, session.session_id) for one in followed]
        status = json.loads(ask(port, polls[0])[1])
        floor = stack.enter_context(
            gunicorn(
                "benchmarks.contenders.bare",
                {"USER_JSON": json.dumps(status), "LOG_LEVEL": "ERROR"},
            )
        )
        _compare(port, floor, polls)


def _compare(port: int, floor: int, polls: list[bytes]) -> None:
    bare = request("GET", "/api/v1/airliner/users/1", {})
    asked, floors, ours = cycle(polls), list[Run](), list[Run]()
    before = _loads(port)
    with _taking_on(port):
        for _ in range(_ROUNDS):
            floors.append(load(floor, cycle([bare]), connections=_CONNECTIONS, seconds=_SECONDS))
            ours.append(load(port, asked, connections=_CONNECTIONS, seconds=_SECONDS))
    number = sum(len(one.latencies) for one in ours)
    in_sql = _loads(port) - before
    print(f"{'status polls':<34} {'req/s':>7} {'ratio':>7} {'p50 ms':>7} {'p99 ms':>7}")
    for name, runs in (("a bare Flask route", floors), ("GET …/status", ours)):
        ratio = median(a.rate / b.rate for a, b in zip(runs, floors, strict=True))
        times = [seconds * 1000 for one in runs for seconds in one.latencies]
        cuts = quantiles(times, n=100)
        rate = median(one.rate for one in runs)
        print(f"{name:<34} {rate:>7.0f} {ratio:>7.2f} {cuts[49]:>7.1f} {cuts[98]:>7.1f}")
    print(
        f"\nof {number} polls {in_sql:.0f} asked SQL: {100 * (1 - in_sql / number):.2f} % did not"
    )


def _variables(server: RedisServer, folder: Path) -> dict[str, str]:
    return {
        "REDIS_URL": server.url,
        "REDIS_DB": "2",
        "DATABASE_URL": f"sqlite:///{folder}/notifications.sqlite3",
        "DATA_DIR": str(folder),
        "SERVICE_TOKENS": f"benchmarks:{_TOKEN}",
        "RATE_LIMIT_DELIVERIES": "1000000/60",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def _service(variables: Mapping[str, str]) -> Iterator[int]:
    upgrade = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(upgrade, cwd=_SERVICE, env={**os.environ, **variables}, check=True)
    with gunicorn("wsgi", variables, directory=_SERVICE) as port:
        yield port


@contextmanager
def _worker(variables: Mapping[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "app.worker"]
    process = subprocess.Popen(command, cwd=_SERVICE, env={**os.environ, **variables})
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _taking_on(port: int) -> Iterator[None]:
    """More of them all the while, so that there is something to deliver and to invalidate."""
    ended = threading.Event()

    def take_on() -> None:
        while not ended.wait(1 / _A_SECOND):
            _take_on(port)

    thread = threading.Thread(target=take_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _take_on(port: int) -> int:
    body = {
        "channel": "email",
        "userId": 7,
        "recipient": "john@example.com",
        "subject": "Admission",
        "message": "It is gate 7.",
    }
    message = request("POST", _API, {"X-Service-Token": _TOKEN}, json.dumps(body))
    answer, text = ask(port, message)
    if answer.status != 202:
        raise SystemExit(f"a notification is not taken on: {answer.status} {text!r}")
    return int(json.loads(text)["notification"]["notificationId"])


def _poll(notification_id: int, session_id: str) -> bytes:
    path = f"{_API}/{notification_id}/status"
    return request("GET", path, {"Authorization": f"Bearer {session_id}"})


def _loads(port: int) -> float:
    """How often a status was read from SQL."""
    time.sleep(0.5)  # what was loaded beside readers is counted by then
    _, text = ask(port, request("GET", "/metrics", {}))
    pattern = rb'^cache_events_total\{cache="notification:status",event="load"\} (\S+)$'
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) if found else 0.0
