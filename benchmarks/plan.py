"""What a number of users and requests a second needs, computed from measured costs.

It multiplies those of `costs` by assumptions about what users do. `sheet` prints the results.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import costs

# Shares of the requests of a peak, for a portal whose users mostly read.
MIX: Mapping[str, float] = {
    costs.GET_USER: 0.450,
    costs.GET_TASK: 0.220,
    costs.GET_TASKS: 0.120,
    costs.GET_STATUS: 0.20438,
    costs.POST_BOOKING: 0.0001,
    costs.POST_LOGIN: 0.0055,
    costs.POST_USER: 0.00002,
}

_HOUR_SECONDS, _DAY_SECONDS = 3600.0, 86_400.0
_GB = 1e9

LOOKUPS = ("user:lookup:username", "user:lookup:email")
_CACHED = ("user", "booking", "user:bookings", "notification:status")
_LIMIT_SECONDS = 60.0 * 1.06  # that a limit of 60 s exists after a request, on average
_MEASURED_ENTRIES = (1, 10, 64)  # of a limit; the last is the most that one has
_PAGE_TASKS = 51.0  # one more than a page shows, to tell whether there is a next one
_FILLS_OF_A_BOOKING = 4  # the values that its changes invalidate

_KEPT_DAYS = {
    "tasks": 365.0,
    "bookings": 365.0,
    "events": 7.0,
    "notifications": 365.0,
    "attempts": 365.0,
}

# A gunicorn process and a worker run Python in one thread at a time.
_PROCESS_CORES = 0.6  # that one process is planned to use
_REDIS_CORES = 0.6  # of its one thread, so that a burst does not queue
_REDIS_BYTES = 12 * _GB  # of one server: a fork, a full resync and a restart take minutes above
_SQL_CORES = 24.0  # of one server
_SQL_CONNECTIONS = 400  # of one server, without a pooler
_SQL_COMMITS = 8_000  # a second, of a server with a fast disk; not measured here
_SQL_BYTES = 2_000 * _GB
_ROWS_OF_A_TABLE = 5e8  # above, indexes outgrow memory and VACUUM takes hours


@dataclass(frozen=True)
class Workload:
    """What users do at a peak. `active` of them have used the portal in the last hour."""

    users: float
    rps: float
    active: float = 0.10
    recent: float = 0.25  # of the users have logged in within half a day
    peak: float = 3.0  # the peak, divided by the average of a day
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)

    @property
    def active_users(self) -> float:
        """The users of the last hour."""
        return self.users * self.active

    @property
    def tasks_of_a_user(self) -> float:
        """The tasks of a user that are kept."""
        return self.bookings / self.peak * _DAY_SECONDS * _KEPT_DAYS["tasks"] / self.users

    def rate(self, kind: str) -> float:
        """The requests of a kind a second."""
        return self.rps * self.mix[kind]

    @property
    def bookings(self) -> float:
        """Bookings a second."""
        return self.rate(costs.POST_BOOKING)

    @property
    def fills(self) -> float:
        """Values a second that are loaded into caches: once an hour, and after each change."""
        cached = sum(count for kind, count in keys_of(self).items() if kind in _CACHED)
        return cached / _HOUR_SECONDS + _FILLS_OF_A_BOOKING * self.bookings

    def rates(self) -> dict[str, float]:
        """What is done a second: requests, and what follows from them."""
        rates = {kind: self.rate(kind) for kind in self.mix}
        # A fill is counted as the difference between a read that fills and one that does not.
        fills = min(self.fills, rates[costs.GET_USER])
        rates[costs.GET_USER] -= fills
        return rates | {costs.GET_USER_UNCACHED: fills, costs.RUN_BOOKING: self.bookings}


def keys_of(load: Workload) -> dict[str, float]:
    """How many keys of each kind there are in Redis."""
    active = load.active_users
    limited = active * (1 - math.exp(-_requests_in_a_window(load)))
    logins = load.rate(costs.POST_LOGIN) * _LIMIT_SECONDS
    return {
        "session": active,
        "user:sessions": load.users * load.recent,
        "user": active,
        **dict.fromkeys(LOOKUPS, load.rate(costs.POST_USER) * _HOUR_SECONDS),
        "booking": active,
        "user:bookings": active / 2,
        "notification:status": active,
        "rate_limit": limited + min(logins, active),
    }


def _requests_in_a_window(load: Workload) -> float:
    """The limited requests of an active user in a minute."""
    return load.rate(costs.GET_USER) * _LIMIT_SECONDS / max(1.0, load.active_users)


def entries_of_a_limit(load: Workload) -> float:
    """The entries of a limit of a user who has used it in the last minute."""
    requests = _requests_in_a_window(load)
    return max(1.0, requests / max(1e-9, 1 - math.exp(-requests)))


def bytes_of_a_key(kind: str, load: Workload) -> float:
    """What a key takes, with its place in the tables of Redis."""
    if kind == "user:bookings":
        tasks = min(_PAGE_TASKS, load.tasks_of_a_user)
        return tasks * costs.KEY_BYTES["user:bookings, each task"] + costs.KEY_OVERHEAD_BYTES
    if kind != "rate_limit":
        return costs.KEY_BYTES[kind] + costs.KEY_OVERHEAD_BYTES
    return _bytes_of_a_limit(entries_of_a_limit(load)) + costs.KEY_OVERHEAD_BYTES


def _bytes_of_a_limit(entries: float) -> float:
    """Between those that were measured."""
    one, ten, most = _MEASURED_ENTRIES
    low, high = (one, ten) if entries <= ten else (ten, most)
    less, more = (costs.KEY_BYTES[costs.limit_with(each)] for each in (low, high))
    return less + (more - less) * (min(entries, most) - low) / (high - low)


@dataclass(frozen=True)
class Use:
    """What is done a second, in cores of processor and in numbers."""

    app_cores: float
    redis_cores: float
    sql_cores: float
    trips: float
    commits: float
    wal_bytes: float


def use_of(load: Workload) -> Use:
    """The sum over all that is done a second."""
    parts = (costs.REQUESTS[kind] * rate for kind, rate in load.rates().items())
    a_second = sum(parts, start=costs.NO_COST)
    return Use(
        a_second.app_us / 1e6,
        a_second.redis_us / 1e6,
        a_second.sql_us / 1e6,
        a_second.trips,
        a_second.commits,
        a_second.wal_bytes,
    )


def redis_bytes(load: Workload) -> float:
    """The memory of all keys."""
    return sum(count * bytes_of_a_key(kind, load) for kind, count in keys_of(load).items())


def rows_of(load: Workload) -> dict[str, tuple[float, float]]:
    """Of each table: the rows that a day adds, and those that are kept."""
    bookings = load.bookings / load.peak * _DAY_SECONDS
    users = load.rate(costs.POST_USER) / load.peak * _DAY_SECONDS
    daily = {"users": users, "tasks": bookings, "bookings": bookings, "events": bookings}
    daily |= {"notifications": bookings + users, "attempts": bookings + users}
    kept = {
        name: load.users if name == "users" else count * _KEPT_DAYS[name]
        for name, count in daily.items()
    }
    return {name: (daily[name], kept[name]) for name in daily}


def sql_bytes(load: Workload) -> float:
    """The size of all tables, with their indexes."""
    return sum(kept * costs.ROW_BYTES[name] for name, (_, kept) in rows_of(load).items())


def processes_of(load: Workload) -> dict[str, int]:
    """The gunicorn processes and the workers."""
    by_worker = load.rates()[costs.RUN_BOOKING] * costs.REQUESTS[costs.RUN_BOOKING].app_us / 1e6
    by_web = use_of(load).app_cores - by_worker
    return {
        "gunicorn": max(6, math.ceil(by_web / _PROCESS_CORES)),
        "worker": max(3, math.ceil(by_worker / _PROCESS_CORES)),
    }


def connections_of(load: Workload) -> tuple[float, float]:
    """The connections to Redis and to PostgreSQL."""
    processes = processes_of(load).items()
    costed = [(count, costs.PROCESSES[kind]) for kind, count in processes]
    return (
        sum(count * each.redis_connections for count, each in costed),
        sum(count * each.sql_connections for count, each in costed),
    )


@dataclass(frozen=True)
class Bound:
    """A bound of one server or process, how much of it is used, and what to do above it."""

    what: str
    used: float
    bound: float
    then: str

    @property
    def share(self) -> float:
        """Above 1 one is not enough."""
        return self.used / self.bound


_BY_ROLE = "by role, then by user"
_BY_SERVICE = "a server for each service, then by user"


def bounds(load: Workload) -> list[Bound]:
    """The bounds, the tightest first."""
    use, rows = use_of(load), rows_of(load)
    largest = max(kept for name, (_, kept) in rows.items() if name != "users")
    deleted, connections = rows["tasks"][0] / _DAY_SECONDS, connections_of(load)[1]
    stored, size = redis_bytes(load) / _GB, sql_bytes(load) / _GB
    found = [
        Bound("Redis: cores of its thread", use.redis_cores, _REDIS_CORES, _BY_ROLE),
        Bound("Redis: GB", stored, _REDIS_BYTES / _GB, _BY_ROLE),
        Bound("PostgreSQL: cores", use.sql_cores, _SQL_CORES, _BY_SERVICE),
        Bound("PostgreSQL: commits a second", use.commits, _SQL_COMMITS, _BY_SERVICE),
        Bound("PostgreSQL: connections", connections, _SQL_CONNECTIONS, "PgBouncer"),
        Bound("PostgreSQL: GB", size, _SQL_BYTES / _GB, _BY_SERVICE),
        Bound("PostgreSQL: rows of a table", largest, _ROWS_OF_A_TABLE, "partitions"),
        Bound("deleted tasks a second", deleted, costs.DELETED_ROWS_PER_SECOND, "partitions"),
    ]
    return sorted(found, key=lambda each: -each.share)


SIZES = (1e4, 1e6, 1e8)
"""The numbers of users for which docs/scaling.md says the topology."""

RPS_OF_A_USER = 0.005
"""At a peak: each user of the last hour sends three requests a minute."""


def at_size(users: float) -> Workload:
    """The workload of so many users of the same habits."""
    return Workload(users, users * RPS_OF_A_USER)
