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

_HOUR, _DAY, _YEAR = 3600.0, 86_400.0, 365.0
_READS_WINDOW = 60.0 * 1.06  # seconds that a limit of 60 s exists after a request, on average
_LOOKUPS = ("user:lookup:username", "user:lookup:email")
_GB = 1e9
_KEPT_DAYS = {"users": math.inf, "tasks": _YEAR, "bookings": _YEAR, "events": 7.0}
_KEPT_DAYS |= {"notifications": _YEAR, "attempts": _YEAR}


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
        return self.bookings / self.peak * _DAY * _KEPT_DAYS["tasks"] / self.users

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
        return cached / _HOUR + 4 * self.bookings

    def rates(self) -> dict[str, float]:
        """What is done a second: requests, and what follows from them."""
        rates = {kind: self.rate(kind) for kind in self.mix}
        # A fill is counted as the difference between a read that fills and one that does not.
        fills = min(self.fills, rates[costs.GET_USER])
        rates[costs.GET_USER] -= fills
        return rates | {costs.GET_USER_UNCACHED: fills, costs.RUN_BOOKING: self.bookings}


_CACHED = ("user", "booking", "user:bookings", "notification:status")


def keys_of(load: Workload) -> dict[str, float]:
    """How many keys of each kind there are in Redis."""
    active = load.active_users
    a_window = load.rate(costs.GET_USER) * _READS_WINDOW / max(1.0, active)
    limited = active * (1 - math.exp(-a_window))
    logins = load.rate(costs.POST_LOGIN) * _HOUR
    return {
        "session": active,
        "user:sessions": load.users * load.recent,
        "user": active,
        **dict.fromkeys(_LOOKUPS, load.rate(costs.POST_USER) * _HOUR),
        "booking": active,
        "user:bookings": active / 2,
        "notification:status": active,
        "rate_limit": limited + min(logins, active) / 60,
    }


def entries_of_a_limit(load: Workload) -> float:
    """The entries of a limit of a user who has used it in the last minute."""
    a_window = load.rate(costs.GET_USER) * _READS_WINDOW / max(1.0, load.active_users)
    return max(1.0, a_window / max(1e-9, 1 - math.exp(-a_window)))


def bytes_of_a_key(kind: str, load: Workload) -> float:
    """What a key takes, with its place in the tables of Redis."""
    if kind == "user:bookings":
        tasks = min(_PAGE, load.tasks_of_a_user)
        return tasks * costs.KEY_BYTES["user:bookings, each task"] + costs.KEY_OVERHEAD_BYTES
    if kind != "rate_limit":
        return costs.KEY_BYTES[kind] + costs.KEY_OVERHEAD_BYTES
    one, ten, most = (costs.KEY_BYTES[f"rate_limit, {n}"] for n in _ENTRIES)
    entries = min(64.0, entries_of_a_limit(load))
    if entries <= 10:
        size = one + (ten - one) * (entries - 1) / 9
    else:
        size = ten + (most - ten) * (entries - 10) / 54
    return size + costs.KEY_OVERHEAD_BYTES


_PAGE = 51.0  # tasks
_ENTRIES = ("1 entry", "10 entries", "64 entries")


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
    sums = [0.0] * 6
    for kind, rate in load.rates().items():
        cost = costs.REQUESTS[kind]
        parts = (cost.app_us, cost.redis_us, cost.sql_us)
        sums = [
            total + rate * part
            for total, part in zip(
                sums,
                (*(us / 1e6 for us in parts), cost.trips, cost.commits, cost.wal_bytes),
                strict=True,
            )
        ]
    return Use(*sums)


def redis_bytes(load: Workload) -> float:
    """The memory of all keys."""
    return sum(count * bytes_of_a_key(kind, load) for kind, count in keys_of(load).items())


def rows_of(load: Workload) -> dict[str, tuple[float, float]]:
    """Of each table: the rows that a day adds, and those that are kept."""
    bookings = load.bookings / load.peak * _DAY
    users = load.rate(costs.POST_USER) / load.peak * _DAY
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


# A gunicorn process and a worker run Python in one thread at a time.
_PROCESS_CORES = 0.6  # that one process is planned to use
_REDIS_CORES = 0.6  # of its one thread, so that a burst does not queue
_REDIS_BYTES = 12 * _GB  # of one server: a fork, a full resync and a restart take minutes above
_SQL_CORES = 24.0  # of one server
_SQL_CONNECTIONS = 400  # of one server, without a pooler
_SQL_COMMITS = 8_000  # a second, of a server with a fast disk; not measured here
_SQL_BYTES = 2_000 * _GB
_ROWS_OF_A_TABLE = 5e8  # above, indexes outgrow memory and VACUUM takes hours


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
    deleted, connections = rows["tasks"][0] / _DAY, connections_of(load)[1]
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
