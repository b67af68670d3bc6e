"""What the routes call to read tasks, over a small and a large database, in turns.

It runs in the folder of Task Processing. Its arguments are two pairs of URLs, of SQL and of Redis;
it prints the median times, in µs, as JSON: for each kind of read two.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from sqlalchemy import func, select

from app import tasks  # type: ignore[import-not-found]  # it starts in the service's folder
from app.models import Task  # type: ignore[import-not-found]  # as above
from app.redis_helper import BookingRedisHelper  # type: ignore[import-not-found]  # as above
from common.pyportal_common.cache_handlers import Cache, RedisClient, RedisSettings, keys
from common.pyportal_common.db import Database

_ROUNDS = 400
_FIRST = 20  # that do not count: they open connections, and compile statements


class Reader:
    """The reads of one database, with a cache of its own."""

    def __init__(self, url: str, redis_url: str) -> None:
        settings = RedisSettings.load(url=redis_url, _env_file=None)
        self._client = RedisClient.connect(settings, db=0)
        database = Database(url, cache=Cache(self._client))
        self._with = {"database": database, "redis_helper": BookingRedisHelper(self._client)}
        with database.read() as tx:
            self._last: int = tx.scalar(select(func.max(Task.id))) or 0
            self._users: int = tx.scalar(select(func.max(Task.user_id))) or 0

    def task(self, *, cached: bool) -> float:
        """The µs that a task takes: any one of user 1, whose ids are odd."""
        task_id = random.randrange(1, self._last, 2)
        return self._time(
            lambda: tasks.find(task_id, user_id=1, **self._with), keys.booking(task_id), cached
        )

    def page(self, *, of_many: bool, cached: bool = False, **search: Any) -> float:
        """The µs that a page takes: of user 1, or of any one of the others."""
        user_id = random.randint(2, self._users) if of_many else 1
        asked = {"status": None, "before": None, **search}
        return self._time(
            lambda: tasks.page(user_id=user_id, **asked, **self._with),
            keys.user_bookings(user_id),
            cached,
        )

    def later_page(self, *, of_many: bool, **search: Any) -> float:
        """The same, somewhere in the newest fifth."""
        before = random.randint(self._last * 4 // 5, self._last)
        return self.page(of_many=of_many, before=before, **search)

    def _time(self, call: Callable[[], Any], key: str, cached: bool) -> float:
        self._client.delete(key)
        if cached:
            call()  # after a fill, in the small one too, whose keys would all be there by then
        began = time.perf_counter()
        call()
        return (time.perf_counter() - began) * 1e6

    def close(self) -> None:
        """Close its connections."""
        self._with["database"].close()
        self._client.close()


def kinds() -> dict[str, Callable[[Reader], float]]:
    """What is timed, by name."""
    found: dict[str, Callable[[Reader], float]] = {
        "a task": partial(Reader.task, cached=False),
        "a task, cached": partial(Reader.task, cached=True),
    }
    for of_many in (False, True):
        whose = "one of many" if of_many else "user 1"
        page = partial(Reader.page, of_many=of_many)
        later = partial(Reader.later_page, of_many=of_many)
        found |= {
            f"{whose}: first page": page,
            f"{whose}: first page, cached": partial(page, cached=True),
            f"{whose}: later page": later,
            f"{whose}: first page of a status": partial(page, status="failed"),
            f"{whose}: later page of a status": partial(later, status="failed"),
        }
    return found


def main() -> None:
    """Time all of them, in turns."""
    urls = iter(sys.argv[1:])
    readers = [Reader(url, redis_url) for url, redis_url in zip(urls, urls, strict=True)]
    times: dict[str, list[list[float]]] = {name: [[], []] for name in kinds()}
    for turn in range(_FIRST + _ROUNDS):
        for name, kind in kinds().items():
            for which in random.sample(range(2), 2):
                microseconds = kind(readers[which])
                if turn >= _FIRST:
                    times[name][which].append(microseconds)
    for reader in readers:
        reader.close()
    print(json.dumps({name: [median(each) for each in both] for name, both in times.items()}))


if __name__ == "__main__":
    main()
