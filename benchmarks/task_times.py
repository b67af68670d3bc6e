"""How many tasks are created a second over HTTP, and how soon a task is completed."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from statistics import quantiles

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.redis_server import RedisServer

from .figures import print_rates, print_row
from .load import load, request, send
from .scale import Scale
from .servers import TASKPROCESSING, connected, gunicorn
from .taskprocessing import TaskProcessing

_USERS = 100


def compare(server: RedisServer, services: list[TaskProcessing], scale: Scale) -> None:
    """Print both tables."""
    bookings = cycle(_bookings(server))
    with ExitStack() as stack:
        ports = [
            stack.enter_context(gunicorn("wsgi", service.variables, directory=TASKPROCESSING))
            for service in services
        ]
        _compare_latencies(services, ports, bookings, scale)
        _compare_creations(services, ports, bookings, scale)


def _compare_latencies(
    services: list[TaskProcessing], ports: list[int], bookings: Iterator[bytes], scale: Scale
) -> None:
    with ExitStack() as stack:
        for service, port in zip(services, ports, strict=True):
            stack.enter_context(service.worker())
            send(port, next(bookings))
        for service in services:
            service.rows.await_completed()  # then its worker runs
        before = [service.rows.last() for service in services]
        for _ in range(scale.timed_tasks):
            for port in ports:
                send(port, next(bookings))
                time.sleep(random.uniform(0.2, 0.4))  # not in step with the workers' polling
        for service in services:
            service.rows.await_completed()
    print()
    print_row("ms from created to completed", "50 %", "95 %")
    for service, last in zip(services, before, strict=True):
        cuts = quantiles(service.rows.milliseconds_since(last), n=100)
        print_row(service.name, f"{cuts[49]:.0f}", f"{cuts[94]:.0f}")


def _compare_creations(
    services: list[TaskProcessing], ports: list[int], bookings: Iterator[bytes], scale: Scale
) -> None:
    rates: dict[str, list[float]] = {}
    for at_once in (1, 8):
        for _ in range(scale.task_rounds):
            for service, port in zip(services, ports, strict=True):
                run = load(
                    port,
                    bookings,
                    connections=at_once,
                    seconds=scale.task_load_seconds,
                    status=202,
                )
                rates.setdefault(f"{service.name}, {at_once} at a time", []).append(run.rate)
    print()
    print_rates("POST /tasks", rates)


def _bookings(server: RedisServer) -> list[bytes]:
    """Requests for a seat, by each of many users, who have logged in."""
    requests = []
    with connected(server) as client:
        sessions = SessionStore(client)
        for user in range(1, _USERS + 1):
            session = sessions.create(user, {"username": f"user{user}", "role": "user"})
            headers = {"Authorization": f"Bearer {session.session_id}"}
            parameters = {"flightId": user, "seats": 1}
            body = json.dumps({"taskType": "flight_booking", "parameters": parameters})
            requests.append(request("POST", "/api/v1/airliner/tasks", headers, body))
    return requests
