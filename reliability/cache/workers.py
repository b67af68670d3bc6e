"""The processes of a cache run: readers, writers, and one that watches SQL. Each ends by itself."""

import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from sqlalchemy import column, select, table
from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.cache_handlers import RedisLayerError
from common.pyportal_common.db import Database

from ..journal import Journal, now
from .instruments import Instruments
from .settings import HOT_USERS, USERS, CacheSettings, email_of, pick_user
from .subject import FENCE_SECONDS, Subject

SHORT_FENCE = 0.3  # seconds
_READS_BY_EMAIL = 0.15
_WRITES_OF_EMAIL = 0.1
_MAX_PAUSE = 0.02  # seconds between writes
_WATCH_EVERY = 0.005  # seconds

_USERS = table("users", *(column(name) for name in ("id", "first_name", "last_name")))


class Worker:
    """One process: the operations that it repeats until the run ends, each in its own thread."""

    def __init__(
        self,
        settings: CacheSettings,
        name: str,
        *,
        redis_port: int | None = None,
        fence_seconds: float = FENCE_SECONDS,
    ) -> None:
        self._settings = settings
        self._name = name
        instruments = Instruments(settings, name)
        self._subject = Subject(
            settings,
            instruments,
            redis_port=redis_port or settings.redis_port,
            fence_seconds=fence_seconds,
        )
        self._database = self._subject.database
        self._instruments = instruments
        self._note = instruments.journal.note

    def run(self, *, readers: int = 0, writers: int = 0) -> None:
        """Read and write in so many threads."""
        self._repeat([self._read] * readers + [self._write] * writers)

    def write_slowly(self) -> None:
        """Write now and then, and often commit after the fence has expired."""
        rng = self._settings.run.random_for(f"{self._name} pauses")

        def pause() -> None:
            begin, seconds = now(), rng.uniform(0, 3 * SHORT_FENCE)
            time.sleep(seconds)
            if seconds > SHORT_FENCE:
                self._instruments.journal.fault("slow-commit", begin)

        def write_and_sleep(rng: Random) -> None:
            self._write(rng)
            time.sleep(rng.uniform(1, 2))

        self._database.before_commit = pause
        self._repeat([write_and_sleep])

    def read_everything(self) -> None:
        """Read each user and each address once."""
        for user_id in range(1, USERS + 1):
            self._find(user_id)
            for address in (0, 1):
                self._find_by_email(user_id, address)
        fault = self._subject.check_verifier()
        if fault is not None:
            self._note("error", now(), fault)
        self._database.close()

    def _repeat(self, operations: Sequence[Callable[[Random], None]]) -> None:
        def repeat(operation: Callable[[Random], None], rng: Random) -> None:
            try:
                while time.monotonic() < self._settings.until:
                    operation(rng)
            except Exception as error:
                self._note("error", now(), repr(str(error)))
                raise

        monitor = self._subject.start_monitor()
        self._find(1)  # connects: from here on the process sweeps
        random_for = self._settings.run.random_for
        threads = [
            threading.Thread(target=repeat, args=(operation, random_for(f"{self._name} {number}")))
            for number, operation in enumerate(operations)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if monitor is not None:
            monitor.close()
        self._database.close()

    def _read(self, rng: Random) -> None:
        user_id = pick_user(rng)
        if rng.random() < _READS_BY_EMAIL:
            self._find_by_email(user_id, rng.randrange(2))
        else:
            self._find(user_id)

    def _find(self, user_id: int) -> None:
        begin = now()
        try:
            user = self._subject.find(user_id)
        except (RedisLayerError, SQLAlchemyError) as error:
            self._note("failed", now(), "read", type(error).__name__)
            return
        self._note_read(begin, user)

    def _find_by_email(self, user_id: int, address: int) -> None:
        begin = now()
        try:
            user = self._subject.find_by_email(email_of(user_id, address))
        except (RedisLayerError, SQLAlchemyError) as error:
            self._note("failed", now(), "read", type(error).__name__)
            return
        self._note("lookup", begin, now(), user_id, address, int(user is not None))
        if user is not None:
            self._note_read(begin, user)

    def _note_read(self, begin: int, user: dict[str, Any]) -> None:
        self._note("read", begin, now(), user["id"], user["firstName"], user["lastName"])

    def _write(self, rng: Random) -> None:
        user_id = pick_user(rng)
        email = email_of(user_id, rng.randrange(2)) if rng.random() < _WRITES_OF_EMAIL else None
        try:
            self._subject.change(user_id, email=email)
        except (RedisLayerError, SQLAlchemyError) as error:
            self._note("failed", now(), "write", type(error).__name__)
        else:
            self._note("answered", now(), self._instruments.attempt)
        time.sleep(rng.uniform(0, _MAX_PAUSE))


def watch_sql(settings: CacheSettings, name: str) -> None:
    """Record what is committed, read past the cache: the hot users all the time."""
    journal = settings.run.journal(name)
    database = Database(settings.database_url)
    known: dict[int, str | None] = {}
    turn = 0
    while time.monotonic() < settings.until:
        turn += 1
        note_commits(database, journal, known, last_id=USERS if turn % 10 == 0 else HOT_USERS)
        time.sleep(_WATCH_EVERY)
    database.close()


def note_commits(
    database: Database, journal: Journal, known: dict[int, str | None], *, last_id: int
) -> None:
    """Record what has been committed of the first users since `known`."""
    with database.read() as tx:
        found = tx.execute(select(_USERS).where(_USERS.c.id <= last_id)).all()
    seen = now()
    for user_id, number, attempt in found:
        if known.get(user_id) != attempt:
            known[user_id] = attempt
            journal.note("committed", seen, user_id, number, attempt)
