"""Measures the costs of the portal, for `cases/costs.py`."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit

from . import costs
from .copies import bytes_of_copies
from .costs import ProcessCost, RequestCost
from .load import load, request
from .meter import Meter, Used, bytes_of_keys
from .portal import Portal, login, notified
from .scale import Scale
from .servers import connected, wait_until
from .usermanagement import API, new_name, registration

_CONNECTIONS = 16
_TASKS = f"{API}/tasks"
_NOTIFICATIONS = f"{API}/notifications"
_LIMITED = (1, 10, 64)  # entries
_NAMES = 20  # users who log in again and again
_ROUND = 3  # times the seconds of other benchmarks: processor time is counted in ticks


@dataclass
class Costs:
    """The costs of this machine, as in costs.py."""

    requests: dict[str, RequestCost] = field(default_factory=dict)
    keys: dict[str, float] = field(default_factory=dict)
    rows: dict[str, float] = field(default_factory=dict)
    processes: dict[str, ProcessCost] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)


def measure(portal: Portal, scale: Scale, *, gunicorn_workers: int) -> Costs:
    """Measure everything but what a tenth of a plan shows. The results are named as in costs.py."""
    with closing(Meter(portal)) as meter:
        return _Measurement(portal, scale, meter, gunicorn_workers).run()


class _Measurement:
    """One measurement of a portal, whose steps depend on what earlier ones have stored."""

    def __init__(self, portal: Portal, scale: Scale, meter: Meter, gunicorn_workers: int) -> None:
        self._portal = portal
        self._scale = scale
        self._meter = meter
        self._gunicorn_processes = gunicorn_workers * len(portal.ports)
        self._seconds = _ROUND * scale.seconds
        self._found = Costs()
        self._name, self._users = portal.add_users(2 * scale.clients)
        self._known = self._users[: scale.clients]
        self._headers = dict(zip(self._users, portal.sessions(self._users), strict=True))

    def run(self) -> Costs:
        """Measure in the order of the steps."""
        self._idle = self._meter.idle(self._seconds)
        self._read_users()
        self._post()
        self._read_others()
        self._count_processes()
        self._found.keys |= bytes_of_keys(self._portal) | self._bytes_of_limits()
        self._found.rows |= bytes_of_copies(self._portal, self._scale.copied_rows)
        return self._found

    def _load(
        self,
        kind: str,
        service: str,
        requests: Iterator[bytes],
        *,
        status: int = 200,
        once: int = 0,
    ) -> None:
        """Measure requests, which are sent as fast as possible, or `once` each."""
        seconds = self._seconds
        with self._meter.during() as used:
            run = load(
                self._portal.ports[service],
                requests,
                connections=_CONNECTIONS,
                seconds=seconds,
                status=status,
                rate=0.9 * once / seconds if once else None,
            )
        self._add(kind, used(), len(run.latencies))

    def _add(self, kind: str, used: Used, count: int) -> None:
        self._found.requests[kind] = used.without(self._idle).of_each(count)

    def _get(self, path: str, user_id: int) -> bytes:
        return request("GET", path, self._headers[user_id])

    def _read_users(self) -> None:
        for kind, users in (
            (costs.GET_USER_UNCACHED, self._users[self._scale.clients :]),
            ("", self._known),  # fills the cache
            (costs.GET_USER, self._known),
        ):
            messages = [self._get(f"{API}/users/{each}", each) for each in users]
            once = 0 if kind == costs.GET_USER else len(messages)
            self._load(kind, "usermanagement", cycle(messages), once=once)
        del self._found.requests[""]

    def _post(self) -> None:
        names = (f"{self._name}{number}" for number in cycle(range(1, _NAMES + 1)))
        self._load(costs.POST_LOGIN, "usermanagement", map(login, names))
        new = (
            request("POST", f"{API}/registerUser", {}, registration(new_name())) for _ in cycle([0])
        )
        self._load(costs.POST_USER, "usermanagement", new, status=201)
        self._load(costs.POST_BOOKING, "taskprocessing", cycle(self._bookings()), status=202)
        self._run_bookings()

    def _bookings(self) -> list[bytes]:
        requests = []
        for number, user in enumerate(self._known):
            parameters = {"flightId": number % 100 + 1, "seats": 1}
            body = json.dumps({"taskType": "flight_booking", "parameters": parameters})
            requests.append(request("POST", _TASKS, self._headers[user], body))
        return requests

    def _run_bookings(self) -> None:
        """What a booking costs beyond its request: both, less the request alone."""
        before = self._meter.connections()
        with self._portal.workers():
            self._await_notified()
            with self._meter.during() as used:
                run = load(
                    self._portal.ports["taskprocessing"],
                    cycle(self._bookings()),
                    connections=_CONNECTIONS,
                    seconds=self._seconds,
                    status=202,
                )
                self._await_notified()
            both = used().without(self._idle).of_each(len(run.latencies))
            self._found.requests[costs.RUN_BOOKING] = (
                both - self._found.requests[costs.POST_BOOKING]
            )
            after = self._meter.connections()
            # gunicorn may close some of its own meanwhile.
            redis, sql = (max(0, now - then) for now, then in zip(after, before, strict=True))
            memory = self._meter.memory_mb(self._portal.pids[-2:])
            self._found.processes["worker"] = ProcessCost(redis / 2, sql / 2, memory / 2)

    def _await_notified(self) -> None:
        """Wait until all tasks are completed and their users notified."""
        (count,) = self._portal.rows_of("taskprocessing", "SELECT count(*) FROM tasks")[0]
        wait_until(
            lambda: notified(self._portal) >= count,
            "Some users are not notified.",
            poll_seconds=0.5,  # each poll is a connection
        )

    def _read_others(self) -> None:
        self._portal.vacuum()  # or autovacuum would, during a load
        newest = "SELECT max(id), user_id FROM {} WHERE user_id > 0 GROUP BY user_id"
        tasks = self._portal.rows_of("taskprocessing", newest.format("tasks"))
        sent = self._portal.rows_of("notification", newest.format("notifications"))
        for kind, service, messages in (
            (costs.GET_TASK, "taskprocessing", [self._get(f"{_TASKS}/{i}", u) for i, u in tasks]),
            (costs.GET_TASKS, "taskprocessing", [self._get(_TASKS, u) for _, u in tasks]),
            (
                costs.GET_STATUS,
                "notification",
                [
                    self._get(f"{_NOTIFICATIONS}/{i}/status", u)
                    for i, u in sent
                    if u in self._headers
                ],
            ),
        ):
            self._load(kind, service, cycle(messages), once=len(messages))  # fills the cache
            self._load(kind, service, cycle(messages))

    def _count_processes(self) -> None:
        redis, sql = self._meter.connections()
        count = self._gunicorn_processes
        memory = self._meter.memory_mb(self._portal.pids[: len(self._portal.ports)])
        self._found.processes["gunicorn"] = ProcessCost(redis / count, sql / count, memory / count)

    def _bytes_of_limits(self) -> dict[str, float]:
        found = {}
        limit = RateLimit("reads", limit=600, window=60)
        with connected(self._portal.server) as client:
            limiter = Limiter(client, service="usermanagement")
            for count in _LIMITED:
                identifier = f"user:{10**6 + count}"
                for _ in range(count):
                    limiter.hit(Charge(limit, identifier))
                    time.sleep(0.002)  # requests of one millisecond are one entry
                key = f"rate_limit:usermanagement:{identifier}"
                size = float(client.execute("MEMORY", "USAGE", key, "SAMPLES", 0))
                found[costs.limit_with(count)] = size
        return found
