"""The cost of a hit in a small and in a large cache, and of a commit that invalidates."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, Script
from common.pyportal_common.db import Base, CachedRow, Database
from common.pyportal_common.redis_server import RedisServer

from ..scale import Scale
from ..servers import connected, temporary_redis
from ..tables import Report, Table
from ..timing import microseconds, table_of_times
from .layer import USER

_FILL_STEP = 50_000  # keys

# One command for many keys: a million single commands would take minutes.
_FILL = Script.of(
    "for id = ARGV[1], ARGV[2] do redis.call('SET', 'user:' .. id, ARGV[3], 'PX', 3600000) end"
)


class Item(CachedRow, Base):
    """A row that is cached."""

    __tablename__ = "benchmark_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterator[str]:
        """The key of the item."""
        yield f"item:{row['id']}"


def run(scale: Scale) -> Report:
    """Measure both."""
    with temporary_redis() as (server, folder):
        return Report([_compare_hits(server, scale), _compare_commits(server, folder, scale)])


def _compare_hits(server: RedisServer, scale: Scale) -> Table:
    with ExitStack() as stack:
        readers = {}
        for db, size in enumerate(scale.cached_keys, start=1):
            client = stack.enter_context(connected(server, db=db))
            fill(client, size)
            readers[f"{size:,} keys"] = _reader(Cache(client), size)
        times = microseconds(readers, rounds=scale.rounds, slices=scale.slices, each=scale.calls)
    return table_of_times("`get_or_load`, a hit among", times)


def fill(client: RedisClient, size: int) -> None:
    """Cache so many users."""
    for first in range(1, size + 1, _FILL_STEP):
        last = min(first + _FILL_STEP - 1, size)
        client.run(_FILL, [], [first, last, json.dumps(USER)])


def _reader(cache: Cache, size: int) -> Callable[[], object]:
    policy = Policy(ttl=3600)
    ids = iter(range(10**9))
    # 7,919 is prime, so keys are read in no order, and each as often as the others.
    return lambda: cache.get_or_load(f"user:{next(ids) * 7919 % size + 1}", dict, policy)


def _compare_commits(server: RedisServer, folder: Path, scale: Scale) -> Table:
    with ExitStack() as stack:
        client = stack.enter_context(connected(server, db=3))
        invalidating = Database(f"sqlite:///{folder}/cached.sqlite3", cache=Cache(client))
        plain = Database(f"sqlite:///{folder}/plain.sqlite3")
        for database in (plain, invalidating):
            stack.callback(database.close)
            Base.metadata.create_all(database.engine)
            with database.begin() as tx:
                tx.add(Item(id=1, value=0))
        calls = {
            "a commit": lambda: _commit(plain),
            "with fence, record and removal": lambda: _commit(invalidating),
        }
        times = microseconds(calls, rounds=scale.rounds, slices=scale.commits, each=1)
    return table_of_times("one row, synced to the disk", times)


def _commit(database: Database) -> None:
    with database.begin() as tx:
        tx.get_one(Item, 1).value += 1
