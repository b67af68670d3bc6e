"""A tenth of a plan on this machine: its keys in Redis, and its requests over HTTP."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import cycle
from typing import Any

import redis

from common.pyportal_common.cache_handlers import keys

from . import costs
from .copies import insert_children, insert_copies
from .load import load, request, send
from .meter import Meter, Used
from .plan import LOOKUPS, Use, Workload, at_size, keys_of, redis_bytes, use_of
from .portal import Portal, login
from .scale import Scale
from .tables import Table
from .usermanagement import API, new_name, registration

_CONNECTIONS = 16
_AT_ONCE = 500  # commands of a pipeline
_FILL_RATE = 1000  # requests a second
_TENTH = 10
_NAMES = 20  # users who log in again and again


def compare(portal: Portal, scale: Scale) -> tuple[Table, float]:
    """A plan beside a tenth of it, and the bytes of a key beyond MEMORY USAGE.

    The tenth has the requests that were answered, which are fewer on a machine that is too slow.
    """
    whole, tenth = at_size(scale.planned_users), at_size(scale.planned_users / _TENTH)
    with (
        closing(redis.Redis.from_url(portal.server.url, decode_responses=True)) as client,
        closing(Meter(portal)) as meter,
    ):
        client.flushall()
        empty = _bytes_of_data(client)
        users = _Users(portal, tenth)
        portal.vacuum()
        with portal.workers():
            idle = meter.idle(scale.planned_seconds)
            users.fill_caches()
            with meter.during() as used:
                sent = users.load(scale.planned_seconds)
            # At once, as limits exist for a minute. Few keys may be less than what buffers vary by.
            stored = max(0, _bytes_of_data(client) - empty)
            found = used()
            counts, usage = _keys_and_usage(portal)
    overhead = max(0.0, stored - usage) / sum(counts.values())
    answered = _as_sent(tenth, sent, found.seconds)
    comparison = _Comparison(whole, answered, found.without(idle))
    return comparison.table(counts, stored), overhead


class _Users:
    """The users of a plan, of whom some are active."""

    def __init__(self, portal: Portal, load: Workload) -> None:
        self._portal = portal
        self._load = load
        self._name, ids = portal.add_users(int(load.users))
        recent = ids[: max(2, int(load.users * load.recent))]
        self._active = recent[: max(1, int(load.active_users))]
        self._headers = dict(zip(self._active, portal.sessions(self._active), strict=True))
        self._leave(recent[len(self._active) :])
        self._page_readers = self._active[: max(1, len(self._active) // 2)]
        self._tasks = self._copy("taskprocessing", "tasks", {"reference": "'COPY-' || n"})
        insert_children(portal.engines["taskprocessing"], "tasks", "bookings", "task_id")
        self._notifications = self._copy(
            "notification", "notifications", {"message_id": "'copy' || n", "idempotency_key": "n"}
        )

    def _leave(self, gone: Sequence[int]) -> None:
        """Users who have logged in, and whose sessions have expired: an index is left."""
        self._portal.sessions(gone)
        with redis.Redis.from_url(self._portal.server.url, decode_responses=True) as client:
            for part in _parts(gone):
                found: list[Any] = []
                for user in part:
                    found += client.zrange(keys.user_sessions(user), 0, -1)
                client.unlink(*(f"{keys.SESSION_PREFIX}{each}" for each in found))

    def _copy(self, service: str, table: str, changed: Mapping[str, str]) -> dict[int, int]:
        """The id of a row of each active user: copies of one that the service has made."""
        engine = self._portal.engines[service]
        first = self._active[0]
        each = max(1, round(self._load.tasks_of_a_user))
        changed = {**changed, "user_id": f"{first} + (n - 1) / {each}"}
        insert_copies(engine, table, each * len(self._active), changed, sampled=1)
        query = f"SELECT user_id, max(id) FROM {table} WHERE user_id >= {first} GROUP BY 1"
        return {row[0]: row[1] for row in self._portal.rows_of(service, query)}

    def fill_caches(self) -> None:
        """Have each active user read once what they read in an hour."""
        for service, messages in (
            ("usermanagement", [self._user(each) for each in self._active]),
            ("taskprocessing", [self._task(each) for each in self._active]),
            ("taskprocessing", [self._page(each) for each in self._page_readers]),
            ("notification", [self._status(each) for each in self._active]),
        ):
            load(
                self._portal.ports[service],
                cycle(messages),
                connections=_CONNECTIONS,
                seconds=len(messages) / _FILL_RATE,
                rate=_FILL_RATE,
            )

    def load(self, seconds: float) -> dict[str, int]:
        """Send the plan's requests at its rates, each by a user at random. Returns how many."""
        requests = list(self._requests())
        with ThreadPoolExecutor(len(requests)) as pool:
            futures = {}
            for kind, service, status, messages in requests:
                port, rate = self._portal.ports[service], self._load.rate(kind)
                futures[kind] = pool.submit(self._send, port, rate, status, messages, seconds)
            return {kind: future.result() for kind, future in futures.items()}

    @staticmethod
    def _send(
        port: int, rate: float, status: int, messages: Iterator[bytes], seconds: float
    ) -> int:
        """Send so many a second. gunicorn would close connections that few requests use."""
        if rate >= _CONNECTIONS:
            run = load(
                port,
                messages,
                connections=_CONNECTIONS,
                seconds=seconds,
                status=status,
                rate=rate,
            )
            return len(run.latencies)
        end, sent = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            response, _ = send(port, next(messages))
            if response.status != status:
                raise SystemExit(f"A request was answered {response.status}, not {status}.")
            sent += 1
            time.sleep(max(0.0, min(1 / rate, end - time.monotonic())))
        return sent

    def _requests(self) -> Iterator[tuple[str, str, int, Iterator[bytes]]]:
        active = self._active
        yield costs.GET_USER, "usermanagement", 200, _by_any(active, self._user)
        yield costs.GET_TASK, "taskprocessing", 200, _by_any(active, self._task)
        yield costs.GET_TASKS, "taskprocessing", 200, _by_any(self._page_readers, self._page)
        yield costs.GET_STATUS, "notification", 200, _by_any(active, self._status)
        yield costs.POST_BOOKING, "taskprocessing", 202, _by_any(active, self._booking)
        names = (f"{self._name}{number}" for number in cycle(range(1, _NAMES + 1)))
        yield costs.POST_LOGIN, "usermanagement", 200, map(login, names)
        yield costs.POST_USER, "usermanagement", 201, _registrations()

    def _user(self, user: int) -> bytes:
        return request("GET", f"{API}/users/{user}", self._headers[user])

    def _task(self, user: int) -> bytes:
        return request("GET", f"{API}/tasks/{self._tasks[user]}", self._headers[user])

    def _page(self, user: int) -> bytes:
        return request("GET", f"{API}/tasks", self._headers[user])

    def _status(self, user: int) -> bytes:
        path = f"{API}/notifications/{self._notifications[user]}/status"
        return request("GET", path, self._headers[user])

    def _booking(self, user: int) -> bytes:
        body = '{"taskType": "flight_booking", "parameters": {"flightId": %d, "seats": 1}}'
        headers = self._headers[user]
        return request("POST", f"{API}/tasks", headers, body % (user % 100 + 1))


def _as_sent(load: Workload, sent: Mapping[str, int], seconds: float) -> Workload:
    """The workload with the requests that were sent in so many seconds."""
    total = sum(sent.values())
    mix = {kind: count / total for kind, count in sent.items()}
    return replace(load, rps=total / seconds, mix=mix)


def _by_any(users: Sequence[int], message: Callable[[int], bytes]) -> Iterator[bytes]:
    while True:
        yield message(random.choice(users))


def _registrations() -> Iterator[bytes]:
    while True:
        yield request("POST", f"{API}/registerUser", {}, registration(new_name()))


def _parts(whole: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(whole), _AT_ONCE):
        yield whole[start : start + _AT_ONCE]


def _bytes_of_data(client: "redis.Redis") -> int:
    """The bytes of keys and values with the tables that find them, without those of clients."""
    stats: dict[str, Any] = client.execute_command("MEMORY", "STATS")
    tables = (each for name, each in stats.items() if name.startswith("db."))
    sizes = (each.values() if isinstance(each, dict) else each[1::2] for each in tables)
    return int(stats["dataset.bytes"]) + sum(int(size) for part in sizes for size in part)


def _keys_and_usage(portal: Portal) -> tuple[Counter[str], int]:
    """The number of keys of each kind, and the sum of MEMORY USAGE."""
    counts: Counter[str] = Counter()
    usage = 0
    for db in range(3):
        with redis.Redis.from_url(portal.server.url, db=db, decode_responses=True) as client:
            found = list(client.scan_iter(count=1000))
            counts.update(map(keys.kind_of, found))
            for part in _parts(found):
                pipeline = client.pipeline(transaction=False)
                for key in part:
                    pipeline.memory_usage(key, samples=0)
                usage += sum(size or 0 for size in pipeline.execute())
    return counts, usage


class _Comparison:
    """A plan, a tenth of it, and what was measured of the tenth."""

    def __init__(self, whole: Workload, tenth: Workload, used: Used) -> None:
        self._whole = whole
        self._tenth = tenth
        self._used = used
        self._table = Table((f"{whole.users:,.0f} users", "their plan", "a tenth", "measured", "÷"))
        self._table.note = (
            f"The tenth is computed for {tenth.rps:.0f} requests a second, which were answered."
        )

    def table(self, counts: Counter[str], stored: int) -> Table:
        """The comparison."""
        whole, tenth = keys_of(self._whole), keys_of(self._tenth)
        limits = sum(count for kind, count in counts.items() if kind.startswith("rate_limit:"))
        for kind, planned in tenth.items():
            if kind in LOOKUPS:  # those of an hour
                continue
            measured = limits if kind == "rate_limit" else counts[kind]
            self._add(f"keys: {kind}", whole[kind], planned, measured, digits=0)
        sizes = (redis_bytes(self._whole), redis_bytes(self._tenth), stored)
        self._add("MB of Redis", *(size / 1e6 for size in sizes))
        self._add_use(use_of(self._whole), use_of(self._tenth))
        return self._table

    def _add_use(self, whole: Use, tenth: Use) -> None:
        used = self._used.per_second()
        for name, planned, measured in (
            ("cores of services", "app_cores", used.app_us / 1e6),
            ("cores of Redis", "redis_cores", used.redis_us / 1e6),
            ("cores of PostgreSQL", "sql_cores", used.sql_us / 1e6),
            ("round trips a second", "trips", used.trips),
            ("commits a second", "commits", used.commits),
        ):
            plans = (getattr(each, planned) for each in (whole, tenth))
            self._add(name, *plans, measured)

    def _add(self, what: str, *figures: float, digits: int = 2) -> None:
        _, planned, measured = figures
        ratio = f"{measured / planned:.2f}" if planned else "-"
        self._table.add(what, *(f"{each:.{digits}f}" for each in figures), ratio)
