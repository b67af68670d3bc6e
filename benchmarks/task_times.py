"""How many tasks are taken on over HTTP, and how soon one of them is done."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from statistics import median, quantiles

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, SessionStore
from common.pyportal_common.redis_server import RedisServer

from .load import ask, load, request
from .servers import gunicorn
from .taskprocessing import SERVICE, Portal

_USERS = 100
_ROUNDS = 5
_SECONDS = 2.0  # of a round
_TASKS = 100  # one at a time


def compare(server: RedisServer, portals: list[Portal]) -> None:
    """Print both tables."""
    bookings = cycle(_bookings(server))
    with ExitStack() as stack:
        ports = [
            stack.enter_context(gunicorn("wsgi", portal.variables, directory=SERVICE))
            for portal in portals
        ]
        _latencies(portals, ports, bookings)
        _creations(portals, ports, bookings)


def _latencies(portals: list[Portal], ports: list[int], bookings: Iterator[bytes]) -> None:
    before = [portal.rows.last() for portal in portals]
    with ExitStack() as stack:
        for portal in portals:
            stack.enter_context(portal.worker())
        time.sleep(3)  # until they run
        for _ in range(_TASKS):
            for port in ports:
                ask(port, next(bookings))
                time.sleep(random.uniform(0.2, 0.4))  # in no step with their polling
        time.sleep(3)
    print(f"\n{'ms from created to completed':<42} {'50 %':>7} {'95 %':>7}")
    for portal, last in zip(portals, before, strict=True):
        portal.rows.check_completed()
        cuts = quantiles(portal.rows.milliseconds_since(last), n=100)
        print(f"{portal.name:<42} {cuts[49]:>7.0f} {cuts[94]:>7.0f}")


def _creations(portals: list[Portal], ports: list[int], bookings: Iterator[bytes]) -> None:
    print(f"\n{'POST /tasks':<42} {'tasks/s':>7} {'from':>7} {'to':>7}")
    for at_once in (1, 8):
        rates: dict[str, list[float]] = {portal.name: [] for portal in portals}
        for _ in range(_ROUNDS):
            for portal, port in zip(portals, ports, strict=True):
                run = load(port, bookings, connections=at_once, seconds=_SECONDS, status=202)
                rates[portal.name].append(run.rate)
        for name, found in rates.items():
            row = f"{median(found):>7.0f} {min(found):>7.0f} {max(found):>7.0f}"
            print(f"{f'{name}, {at_once} at a time':<42} {row}")


def _bookings(server: RedisServer) -> list[bytes]:
    """A request for a seat by each of many users, who have logged in."""
    settings = RedisSettings.load(url=server.url, _env_file=None)
    client = RedisClient.connect(settings, db=0)
    sessions = SessionStore(client)
    body = {"taskType": "flight_booking", "parameters": {"flightId": 1, "seats": 1}}
    requests = []
    for user in range(1, _USERS + 1):
        session = sessions.create(user, {"username": f"user{user}", "role": "user"})
        headers = {"Authorization": f"Bearer {session.session_id}"}
        body["parameters"] = {"flightId": user, "seats": 1}
        requests.append(request("POST", "/api/v1/airliner/tasks", headers, json.dumps(body)))
    client.close()
    return requests
