"""What runs in the processes: readers, writers, and one that watches SQL. Each ends by itself."""

import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.models import User
from common.pyportal_common.cache_handlers import RedisLayerError
from common.pyportal_common.db import Database

from .journal import Journal, now
from .setting import HOT, Setting, address
from .subject import FENCE_SECONDS, Subject
from .watch import Watch

_SHORT_FENCE = 0.3  # seconds
_BY_EMAIL = 0.15  # the share of reads
_NEW_EMAIL = 0.1  # the share of writes
_PAUSE = 0.02  # seconds between writes, at most
_LOOK_EVERY = 0.005  # seconds

Act = Callable[[Setting, Subject, Random], None]


def read(setting: Setting, name: str, redis_port: int) -> None:
    """A process of four threads that read."""
    _run(setting, name, redis_port, [_read] * 4)


def write(setting: Setting, name: str, redis_port: int) -> None:
    """A process of two threads that write."""
    _run(setting, name, redis_port, [_write] * 2)


def write_strictly(setting: Setting, name: str, redis_port: int) -> None:
    """A process that answers only when nothing old is left."""
    subject = _subject(setting, name, redis_port)
    subject.database.always_strict = True
    _work(setting, name, subject, [_write])


def write_slowly(setting: Setting, name: str, redis_port: int) -> None:
    """A process that often commits after its fence has ended."""
    subject = _subject(setting, name, redis_port, fence_seconds=_SHORT_FENCE)
    chance = setting.random_for(f"{name} pauses")

    def pause() -> None:
        begin, seconds = now(), chance.uniform(0, 3 * _SHORT_FENCE)
        time.sleep(seconds)
        if seconds > _SHORT_FENCE:
            subject.watch.journal.note("fault", "slow-commit", begin, now())

    subject.database.pause = pause
    _work(setting, name, subject, [_write_now_and_then])


def mix(setting: Setting, name: str, redis_port: int) -> None:
    """A process that reads and writes."""
    _run(setting, name, redis_port, [_read, _read, _write])


def watch_sql(setting: Setting, name: str) -> None:
    """A process that looks what is committed, past the cache: the hot users all the time."""
    journal = _journal(setting, name)
    database = Database(setting.database_url)
    known: dict[int, str | None] = {}
    turn = 0
    while time.monotonic() < setting.until:
        turn += 1
        look(database, journal, known, last_id=setting.users if turn % 10 == 0 else HOT)
        time.sleep(_LOOK_EVERY)
    database.close()


def look(
    database: Database, journal: Journal, known: dict[int, str | None], *, last_id: int
) -> None:
    """Note what has been committed of the first users since `known`."""
    with database.read() as tx:
        found = tx.execute(
            select(User.id, User.first_name, User.last_name).where(User.id <= last_id)
        ).all()
    seen = now()
    for user_id, number, attempt in found:
        if known.get(user_id) != attempt:
            known[user_id] = attempt
            journal.note("committed", seen, user_id, number, attempt)


def read_all(setting: Setting, name: str, redis_port: int) -> None:
    """A process that reads every user and every address once: at the end of a run."""
    subject = _subject(setting, name, redis_port)
    for user_id in range(1, setting.users + 1):
        _find(subject, user_id)
        for which in (0, 1):
            _find_by_email(subject, user_id, which)
    subject.database.close()


def _journal(setting: Setting, name: str) -> Journal:
    return Journal(setting.folder / f"{name}.journal")


def _subject(
    setting: Setting, name: str, redis_port: int, *, fence_seconds: float = FENCE_SECONDS
) -> Subject:
    journal = _journal(setting, name)
    journal.note("fences", 0 if setting.plain else fence_seconds)
    watch = Watch(name, journal, setting.random_for(f"{name} dies"))
    return Subject(setting, watch, redis_port=redis_port, fence_seconds=fence_seconds)


def _run(setting: Setting, name: str, redis_port: int, acts: list[Act]) -> None:
    _work(setting, name, _subject(setting, name, redis_port), acts)


def _work(setting: Setting, name: str, subject: Subject, acts: list[Act]) -> None:
    """Repeat the acts, each in a thread of its own, until the run ends."""
    journal = subject.watch.journal

    def repeat(act: Act, chance: Random) -> None:
        try:
            while time.monotonic() < setting.until:
                act(setting, subject, chance)
        except Exception as error:
            journal.note("broken", now(), repr(str(error)))
            raise

    _find(subject, 1)  # from here on it is connected, and sweeps
    journal.note("ready", now())
    threads = [
        threading.Thread(target=repeat, args=(act, setting.random_for(f"{name} {number}")))
        for number, act in enumerate(acts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.note("done", now())
    subject.database.close()


def _read(setting: Setting, subject: Subject, chance: Random) -> None:
    user_id = setting.pick(chance)
    if chance.random() < _BY_EMAIL:
        _find_by_email(subject, user_id, chance.randrange(2))
    else:
        _find(subject, user_id)


def _find(subject: Subject, user_id: int) -> None:
    begin = now()
    try:
        user = subject.find(user_id)
    except (RedisLayerError, SQLAlchemyError) as error:
        subject.watch.journal.note("failed", now(), "read", type(error).__name__)
        return
    _note_read(subject, begin, user)


def _find_by_email(subject: Subject, user_id: int, which: int) -> None:
    begin = now()
    try:
        user = subject.find_by_email(address(user_id, which))
    except (RedisLayerError, SQLAlchemyError) as error:
        subject.watch.journal.note("failed", now(), "read", type(error).__name__)
        return
    found = int(user is not None)
    subject.watch.journal.note("lookup", begin, now(), user_id, which, found)
    if user is not None:
        _note_read(subject, begin, user)


def _note_read(subject: Subject, begin: int, user: dict[str, Any]) -> None:
    number, attempt = user["firstName"], user["lastName"]
    subject.watch.journal.note("read", begin, now(), user["id"], number, attempt)


def _write(setting: Setting, subject: Subject, chance: Random) -> None:
    user_id = setting.pick(chance)
    email = address(user_id, chance.randrange(2)) if chance.random() < _NEW_EMAIL else None
    journal = subject.watch.journal
    try:
        subject.change(user_id, email=email)
    except (RedisLayerError, SQLAlchemyError) as error:
        journal.note("failed", now(), "write", type(error).__name__)
    else:
        strictly = int(subject.database.always_strict)
        journal.note("answered", now(), subject.watch.attempt, strictly)
    time.sleep(chance.uniform(0, _PAUSE))


def _write_now_and_then(setting: Setting, subject: Subject, chance: Random) -> None:
    _write(setting, subject, chance)
    time.sleep(chance.uniform(1, 2))
