"""What a load makes the processes of a portal do: differences of two readings."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import redis
from sqlalchemy import Engine, text

from common.pyportal_common.cache_handlers import keys

from .costs import RequestCost
from .portal import Portal
from .processes import Usage, seconds_of_trees, usage_of_tree

_DATABASES = range(3)  # of Redis
_PAGES = "user:bookings"
_SAMPLED = 300  # keys of each kind
_SETTLED_SECONDS = 0.5  # after a load: what it does in the background belongs to it


@dataclass(frozen=True, slots=True)
class Reading:
    """What has been used so far, and when it was read, in seconds."""

    read_at: float
    so_far: RequestCost

    def __sub__(self, earlier: "Reading") -> "Used":
        return Used(self.read_at - earlier.read_at, self.so_far - earlier.so_far)


@dataclass(frozen=True, slots=True)
class Used:
    """What was used in so many seconds."""

    seconds: float
    total: RequestCost

    def without(self, idle: "Used") -> "Used":
        """What was used beyond what an idle portal uses in the same time."""
        return Used(self.seconds, self.total - idle.total * (self.seconds / idle.seconds))

    def of_each(self, count: int) -> RequestCost:
        """The cost of each of `count` requests."""
        return self.total * (1 / count)

    def per_second(self) -> RequestCost:
        """What was used a second."""
        return self.total * (1 / self.seconds)


class Meter:
    """Reads what the processes of a portal have used."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._redis = redis.Redis.from_url(portal.server.url)
        self._redis_pid = int(self._redis.info("server")["process_id"])
        self._sql = portal.engines["notification"]
        self._sql_pid = _postmaster(self._sql)

    def read(self) -> Reading:
        """What has been used so far."""
        app, of_redis, of_sql = seconds_of_trees(
            self._portal.pids, [self._redis_pid], [self._sql_pid]
        )
        commits, wal = _written(self._sql)
        trips = float(self._redis.info("stats")["total_reads_processed"])
        return Reading(
            time.monotonic(),
            RequestCost(1e6 * app, 1e6 * of_redis, 1e6 * of_sql, trips, commits, wal),
        )

    def idle(self, seconds: float) -> Used:
        """What an idle portal uses in so many seconds."""
        before = self.read()
        time.sleep(seconds)
        return self.read() - before

    def connections(self) -> tuple[int, int]:
        """The connections that the services have to Redis and to PostgreSQL."""
        to_redis = len(self._redis.client_list()) - 1
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'costs_%'"
        with self._sql.connect() as connection:
            return to_redis, int(connection.scalar(text(query)) or 0) - 1

    def memory_mb(self, pids: Sequence[int]) -> float:
        """The memory of these processes and their children."""
        return sum((_used_by(pid) for pid in pids), start=Usage(0, 0)).memory_mb

    def close(self) -> None:
        """Close the connection to Redis."""
        self._redis.close()

    @contextmanager
    def during(self) -> Iterator[Callable[[], Used]]:
        """Yields what returns, after the block, what was used in it."""
        before = self.read()
        after: list[Reading] = []
        yield lambda: after[0] - before
        time.sleep(_SETTLED_SECONDS)
        after.append(self.read())


def _used_by(pid: int) -> Usage:
    return sum(usage_of_tree(pid).values(), start=Usage(0, 0))


def _postmaster(engine: Engine) -> int:
    """The parent of the process that serves a connection."""
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _written(engine: Engine) -> tuple[float, float]:
    """The writing transactions of the server so far, and the bytes of its WAL."""
    query = (
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
        " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
    )
    with engine.connect() as connection:
        row = connection.execute(text(query)).one()
    return float(row[0]), float(row[1])


def commands_of_clients(port: int, seconds: float) -> Iterator[str]:
    """What Redis receives in so many seconds. The commands within scripts do not count."""
    end = time.monotonic() + seconds
    with redis.Redis(port=port) as client, client.monitor() as monitor:
        while (left := end - time.monotonic()) > 0:
            if monitor.connection.can_read(left):
                received = monitor.next_command()
                if received["client_type"] != "lua":
                    yield received["command"]


def bytes_of_keys(portal: Portal) -> dict[str, float]:
    """The median of MEMORY USAGE of each kind of key that there is, by kind."""
    found: dict[str, list[float]] = {}
    for db in _DATABASES:
        with redis.Redis.from_url(portal.server.url, db=db, decode_responses=True) as client:
            for key in client.scan_iter(count=1000):
                sizes = found.setdefault(keys.kind_of(key), [])
                if len(sizes) < _SAMPLED:
                    sizes.append(client.memory_usage(key, samples=0))
                    if keys.kind_of(key) == _PAGES:
                        tasks = max(1, len(json.loads(client.get(key))))
                        found.setdefault(f"{_PAGES}, each task", []).append(sizes[-1] / tasks)
    return {kind: float(median(sizes)) for kind, sizes in found.items()}
