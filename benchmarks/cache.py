"""What a hit costs in a small and in a large cache, and what the record of a commit costs."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, RedisSettings, Script
from common.pyportal_common.db import Base, CachedRow, Database
from common.pyportal_common.redis_server import RedisServer

from .layer import USER
from .servers import own_redis

_FEW, _MANY = 1_000, 1_000_000
_ROUNDS = 100
_CALLS = 50
_COMMITS = 300

# One command for many keys: a million of them would take minutes one by one.
_FILL = Script.of(
    "for id = ARGV[1], ARGV[2] do redis.call('SET', 'user:' .. id, ARGV[3], 'PX', 3600000) end"
)


class Item(CachedRow, Base):
    """A row that is cached."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterator[str]:
        """One."""
        yield f"item:{row['id']}"


def run() -> None:
    """Print both tables."""
    with own_redis() as (server, folder):
        _hits(server)
        _commits(server, folder)


def _hits(server: RedisServer) -> None:
    with ExitStack() as stack:
        caches = {}
        for db, size in enumerate((_FEW, _MANY), start=1):
            client = stack.enter_context(_client(server, db))
            for first in range(1, size + 1, 50_000):
                last = min(first + 49_999, size)
                client.run(_FILL, [], [first, last, json.dumps(USER)])
            caches[f"{size:,} keys"] = _reader(Cache(client), size)
        times = _in_turns(caches, _ROUNDS, _CALLS)
    base = next(iter(times.values()))
    print(f"{'get_or_load, a hit among':<42} {'µs':>7} {'ratio':>7}")
    for name, microseconds in times.items():
        print(f"{name:<42} {microseconds:>7.0f} {microseconds / base:>7.2f}")


def _reader(cache: Cache, size: int) -> Callable[[], object]:
    policy = Policy(ttl=3600)
    ids = iter(range(10**9))
    # 7,919 is prime: the keys come in no order, and none twice for long.
    return lambda: cache.get_or_load(f"user:{next(ids) * 7919 % size + 1}", dict, policy)


def _commits(server: RedisServer, folder: Path) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(_client(server, 3))
        with_cache = Database(f"sqlite:///{folder}/cached.sqlite3", cache=Cache(client))
        without = Database(f"sqlite:///{folder}/plain.sqlite3")
        for database in (with_cache, without):
            stack.callback(database.close)
            Base.metadata.create_all(database.engine)
            with database.begin() as tx:
                tx.add(Item(id=1, value=0))
        times = _in_turns(
            {
                "a commit": lambda: _commit(without),
                "with fence, record and removal": lambda: _commit(with_cache),
            },
            _COMMITS,
            1,
        )
    base = next(iter(times.values()))
    print(f"\n{'one row, synced to the disk':<42} {'µs':>7} {'ratio':>7}")
    for name, microseconds in times.items():
        print(f"{name:<42} {microseconds:>7.0f} {microseconds / base:>7.2f}")


def _commit(database: Database) -> None:
    with database.begin() as tx:
        tx.get_one(Item, 1).value += 1


def _in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, each: int
) -> dict[str, float]:
    """Median µs a call, in interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(each):
                call()
            taken[name].append((time.perf_counter() - began) / each * 1e6)
    return {name: median(times) for name, times in taken.items()}


@contextmanager
def _client(server: RedisServer, db: int) -> Iterator[RedisClient]:
    settings = RedisSettings.load(url=server.url, read_timeout=30, _env_file=None)
    client = RedisClient.connect(settings, db=db)
    yield client
    client.close()
