"""The service methods that read lists, over a small and a large database, in turns.

It runs in the folder of Task Processing. Its arguments are "all", or "tasks" without bookings and
flights, the number of rounds, and two pairs of URLs, of SQL and of Redis. It prints the median
times in µs as JSON, two for each kind of read.
"""

import json
import os
import random
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import func, select

from app.bookings.schemas import (  # type: ignore[import-not-found]  # it starts in that folder
    BookingSearch,
)
from app.flights.schemas import FlightSearch  # type: ignore[import-not-found]  # as above
from app.models import Task  # type: ignore[import-not-found]  # as above
from app.services import Services  # type: ignore[import-not-found]  # as above
from app.settings import TaskProcessingSettings  # type: ignore[import-not-found]  # as above
from app.tasks.schemas import TaskSearch  # type: ignore[import-not-found]  # as above
from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.operations import JobFilter, Operations

_TODAY = datetime.now(UTC).date()  # on which all tasks were created
_DAY = {"departure": date(2099, 1, 31)}
_BOOKINGS: dict[str, dict[str, Any]] = {
    "first page": {},
    "cancelled": {"status": "cancelled"},
    "a day": {"date": _TODAY},
    "a departure and an origin": {**_DAY, "origin": "LIS"},
}
_FLIGHTS: dict[str, dict[str, Any]] = {
    "first page": {},
    "a departure": _DAY,
    "a departure and an origin": {**_DAY, "origin": "LIS"},
    "a departure and both airports": {**_DAY, "origin": "LIS", "destination": "OSL"},
    "airports without flights": {**_DAY, "origin": "JFK"},
}
_CLAIMED = 8  # the threads of a worker
_MAX_WARM_UP_ROUNDS = 20  # these open connections and compile statements, and do not count


class Reader:
    """The reads of one database, with its cache."""

    def __init__(self, url: str, redis_url: str) -> None:
        os.environ["REDIS_URL"] = redis_url
        self._services = Services(TaskProcessingSettings.load(database_url=url))
        self._operations = Operations(self._services, Path("migrations"))
        with self._services.database.read() as tx:
            self._last: int = tx.scalar(select(func.max(Task.id))) or 0
            self._users: int = tx.scalar(select(func.max(Task.user_id))) or 0

    def task(self, *, cached: bool) -> float:
        """The µs to read a random task of user 1, whose ids are odd."""
        task_id = random.randrange(1, self._last, 2)
        find = partial(self._services.tasks.find, task_id, user_id=1)
        return self._time(find, keys.booking(task_id), cached)

    def page(self, *, other_user: bool, cached: bool = False, **search: Any) -> float:
        """The µs to read a page of tasks, of user 1 or of a random other user."""
        user_id = random.randint(2, self._users) if other_user else 1
        page = partial(self._services.tasks.page, TaskSearch(**search), user_id=user_id)
        return self._time(page, keys.user_bookings(user_id), cached)

    def later_page(self, *, other_user: bool, **search: Any) -> float:
        """The same, behind a cursor in the newest fifth of the table."""
        cursor = str(random.randint(self._last * 4 // 5, self._last))
        return self.page(other_user=other_user, cursor=cursor, **search)

    def bookings(self, **search: Any) -> float:
        """The µs to read a page of user 1's bookings."""
        return _timed(partial(self._services.bookings.page, BookingSearch(**search), user_id=1))

    def flights(self, **search: Any) -> float:
        """The µs to read a page of flights."""
        return _timed(partial(self._services.flights.page, FlightSearch(**search)))

    def jobs(self, **search: Any) -> float:
        """The µs to read a page of the tasks of all users, as operators do."""
        return _timed(partial(self._operations.jobs.page, JobFilter("tasks", **search)))

    def failed_of_one_of_many(self) -> float:
        """The µs to read a page of the failed tasks of a random user, as operators do."""
        return self.jobs(status="failed", user_id=random.randint(2, self._users))

    def counts(self) -> float:
        """The µs to count the jobs of each kind by state, up to 10,000."""
        return _timed(self._operations.job_kinds.stats)

    def claim(self) -> float:
        """The µs to claim eight of the tasks that are due, as a worker does."""
        return _timed(partial(self._services.jobs.claim, _CLAIMED))

    def look(self) -> float:
        """The µs to find out that there are tasks to claim, as workers do each second."""
        return _timed(self._services.jobs.look)

    def add_due(self) -> None:
        """Add as many due tasks as `claim` claims."""
        with self._services.database.begin() as tx:
            for _ in range(_CLAIMED):
                task = Task(
                    reference=f"DUE-{secrets.token_hex(6)}",
                    user_id=self._users + 1,
                    task_type="flight_booking",
                    parameters={"flightId": 1, "seats": 1},
                    priority="normal",
                    progress=0,
                    attempts=0,
                )
                self._services.jobs.put(tx, task)

    def _time(self, call: Callable[[], Any], key: str, cached: bool) -> float:
        self._services.redis_client.delete(key)
        if cached:
            call()  # a hit after a fill, for both sizes: the small cache would soon hold every key
        return _timed(call)

    def close(self) -> None:
        """Close the connections."""
        self._services.close()


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def kinds(*, tasks_only: bool) -> dict[str, Callable[[Reader], float]]:
    """The kinds of reads, by name."""
    reads: dict[str, Callable[[Reader], float]] = {
        "a task": partial(Reader.task, cached=False),
        "a task, cached": partial(Reader.task, cached=True),
    }
    for other_user in (False, True):
        whose = "one of many" if other_user else "user 1"
        page = partial(Reader.page, other_user=other_user)
        later = partial(Reader.later_page, other_user=other_user)
        reads |= {
            f"{whose}: first page": page,
            f"{whose}: first page, cached": partial(page, cached=True),
            f"{whose}: later page": later,
            f"{whose}: first page of a status": partial(page, status="failed"),
            f"{whose}: later page of a status": partial(later, status="failed"),
            f"{whose}: a type and a status": partial(page, type="flight_booking", status="failed"),
            f"{whose}: a type without tasks": partial(page, type="data_export"),
            f"{whose}: a day and a status": partial(page, date=_TODAY, status="failed"),
        }
    operators: dict[str, Callable[[Reader], float]] = {
        "operators: first page": Reader.jobs,
        "operators: a status": partial(Reader.jobs, status="failed"),
        "operators: a status without tasks": partial(Reader.jobs, status="cancelled"),
        "operators: one of many, a status": Reader.failed_of_one_of_many,
        "operators: counts, up to 10,000": Reader.counts,
        "workers: look": Reader.look,
        "workers: claim eight": Reader.claim,
    }
    if tasks_only:
        return reads | operators
    for name, search in _BOOKINGS.items():
        reads[f"bookings: {name}"] = partial(Reader.bookings, **search)
    for name, search in _FLIGHTS.items():
        reads[f"flights: {name}"] = partial(Reader.flights, **search)
    return reads | operators


def main() -> None:
    """Measure every kind of read, in turns."""
    which_kinds, rounds, *arguments = sys.argv[1:]
    warm_up = min(int(rounds), _MAX_WARM_UP_ROUNDS)
    urls = iter(arguments)
    readers = [Reader(url, redis_url) for url, redis_url in zip(urls, urls, strict=True)]
    measured = kinds(tasks_only=which_kinds == "tasks")
    times: dict[str, list[list[float]]] = {name: [[], []] for name in measured}
    for turn in range(warm_up + int(rounds)):
        for reader in readers:
            reader.add_due()
        for name, kind in measured.items():
            for which in random.sample(range(2), 2):
                microseconds = kind(readers[which])
                if turn >= warm_up:
                    times[name][which].append(microseconds)
    for reader in readers:
        reader.close()
    print(json.dumps({name: [median(each) for each in both] for name, both in times.items()}))


if __name__ == "__main__":
    main()
