"""What trust costs while 200 commits a second invalidate: hits, and the write lock of SQLite."""

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select

from common.pyportal_common.cache_handlers import Cache, CacheEvent, Observer, Policy
from common.pyportal_common.db import Base, Database
from common.pyportal_common.redis_server import RedisServer

from ..scale import Scale
from ..servers import connected, temporary_redis
from ..tables import Report, Table, spread
from .cache import Item

_ITEMS = 1_000
_COMMITS_PER_SECOND = 200
_PROBES_PER_SECOND = 500
_HOUR = Policy(ttl=3600)
_LENGTHS = {"trust of 2 s": 2.0, "trust of an hour, never renewed": 3600.0}


class _Counts(Observer):
    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.trips = 0

    def round_trip(self, outcome: str, seconds: float) -> None:  # noqa: ARG002
        self.trips += 1

    def cache(self, kind: str, event: CacheEvent) -> None:  # noqa: ARG002
        self.events[event] += 1


class _Portal:
    """A writer and a reader with connections of their own, as two processes have."""

    def __init__(self, stack: ExitStack, server: RedisServer, file: Path, seconds: float) -> None:
        self.file = file
        self.counts = _Counts()
        databases = []
        for db in (0, 0):
            client = stack.enter_context(connected(server, db=db))
            database = Database(f"sqlite:///{file}", cache=Cache(client), trust_seconds=seconds)
            stack.callback(database.close)
            databases.append((database, client))
        (self.writer, _), (self.reader, client) = databases
        client.observe(self.counts)
        self.cache = Cache(client)
        Base.metadata.create_all(self.writer.engine)
        with self.writer.begin() as tx:
            tx.add_all(Item(id=number, value=0) for number in range(1, _ITEMS + 1))

    def write(self) -> None:
        """Commit a change of one item."""
        with self.writer.begin() as tx:
            tx.get_one(Item, random.randint(1, _ITEMS)).value += 1

    def read(self) -> None:
        """Read an item through the cache."""
        number = random.randint(1, _ITEMS)
        self.cache.get_or_load(f"item:{number}", lambda: self._load(number), _HOUR)

    def _load(self, number: int) -> int | None:
        with self.reader.read() as tx:
            return tx.scalar(select(Item.value).where(Item.id == number))


def run(scale: Scale) -> Report:
    """Measure the shares of hits and of the time that the lock is held."""
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in _LENGTHS}
    for _ in range(scale.trust_rounds):
        for name, seconds in _LENGTHS.items():
            with temporary_redis() as (server, folder), ExitStack() as stack:
                portal = _Portal(stack, server, folder / "items.sqlite3", seconds)
                shares[name].append(_measure(portal, 4 * scale.seconds))
    table = Table(("200 commits/s, 1,000 keys", "hits %", "lock %"))
    for name, found in shares.items():
        percents = ([share * 100 for share in each] for each in zip(*found, strict=True))
        table.add(name, *(spread(each, 1) for each in percents))
    return Report([table])


def _measure(portal: _Portal, seconds: float) -> tuple[float, float]:
    """The share of reads that hit, and of the time that some writer holds the lock."""
    for _ in range(3 * _ITEMS):
        portal.read()
    portal.counts.events.clear()
    connection = sqlite3.connect(portal.file, timeout=0, isolation_level=None)
    locked = probes = 0
    with _running(portal.write, _COMMITS_PER_SECOND), _running(portal.read, 1_000):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            probes += 1
            locked += _is_locked(connection)
            time.sleep(1 / _PROBES_PER_SECOND)
    connection.close()
    events = portal.counts.events
    return events["hit"] / max(1, events["hit"] + events["miss"]), locked / probes


@contextmanager
def _running(call: Callable[[], object], per_second: float) -> Iterator[None]:
    """Have a thread make the call so many times a second."""
    stop = threading.Event()

    def work() -> None:
        due = time.monotonic()
        while not stop.is_set():
            call()
            due += 1 / per_second
            time.sleep(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def _is_locked(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    connection.execute("ROLLBACK")
    return False
