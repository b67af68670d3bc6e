"""The services' own code, as User Management wires it, and what of it a run has to know."""

import os
import random
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from app import users
from app.models import User
from app.passwords import Passwords
from app.redis_helper import UserManagementRedisHelper
from app.schemas import UserUpdate
from common.pyportal_common.cache_handlers import (
    Cache,
    Fence,
    Observer,
    RedisClient,
    RedisSettings,
    Trip,
)
from common.pyportal_common.db import Database

from .cache_aside import CacheAsideHelper
from .journal import Journal, now
from .setting import Setting, address

FENCE_SECONDS = 30.0
_DEADLY = 0.01  # of the moments at which a writer may die


class Watch(Observer):
    """Notes when Redis is lost and found, and remembers for each thread what it is about.

    It also kills the process, where a kill from outside would seldom hit.
    """

    def __init__(self, name: str, journal: Journal, chance: random.Random) -> None:
        self.journal = journal
        self._name = name
        self._chance = chance
        self._count = 0
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def breaker(self, *, is_open: bool) -> None:
        """Into the journal."""
        self.journal.note("lost" if is_open else "found", now())

    def round_trip(self, outcome: Trip, seconds: float) -> None:  # noqa: ARG002  as Observer has it
        """For `heard`."""
        self._of_thread.outcome = outcome

    def heard(self, call: Callable[[], Any]) -> tuple[Any, bool]:
        """What a call gives, and whether Redis answered the last command in it."""
        self._of_thread.outcome = None
        return call(), self._of_thread.outcome == "ok"

    @property
    def attempt(self) -> str | None:
        """What this thread is writing, if it has come so far."""
        attempt: str | None = getattr(self._of_thread, "attempt", None)
        return attempt

    def new_attempt(self) -> str:
        """A name for what this thread is about to write, that no other write has."""
        with self._lock:
            self._count += 1
            attempt = f"{self._name}/{self._count}"
        self._of_thread.attempt = attempt
        return attempt

    def forget_attempt(self) -> None:
        """Before the next one."""
        self._of_thread.attempt = None

    def risk(self, moment: str) -> None:
        """Perhaps die, at this moment of a write."""
        if self._chance.random() < _DEADLY:
            self.journal.note("done", now())
            self.journal.note("fault", f"writer-killed:{moment}", now(), now())
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedCache(Cache):
    """The cache, noting which fences and removals Redis has acknowledged."""

    def __init__(self, client: RedisClient, watch: Watch, fence_seconds: float) -> None:
        super().__init__(client, fence_seconds=fence_seconds)
        self._watch = watch

    def fence(self, names: Collection[str]) -> Fence:
        """As the cache does."""
        fence: Fence
        fence, acknowledged = self._watch.heard(lambda: super(WatchedCache, self).fence(names))
        if acknowledged:
            self._watch.journal.note("fenced", now(), self._watch.attempt)
        self._watch.risk("before-commit")
        return fence

    def lift(self, fence: Fence) -> None:
        """As the cache does."""
        self._watch.risk("after-commit")
        super().lift(fence)
        self._watch.journal.note("lifted", now(), self._watch.attempt)
        self._watch.risk("before-answer")


class NumberingDatabase(Database):
    """The database, giving each change of a user the next number, under the lock of the row.

    The number stands in `first_name`, and who wrote it in `last_name`. `before_commit` is called
    between the fence and the COMMIT.
    """

    watch: Watch
    always_strict = False
    before_commit: Callable[[], None] | None = None

    @contextmanager
    def begin(self, *, strict: bool = False) -> Iterator[Session]:
        """As the database does."""
        with super().begin(strict=strict or self.always_strict) as session:
            yield session
            for user in session.dirty:
                if isinstance(user, User):
                    self._number(user)
            if self.before_commit is not None:
                pause = self.before_commit
                event.listen(session, "before_commit", lambda _: pause())

    def _number(self, user: User) -> None:
        before = user.last_name
        number = int(user.first_name or 0) + 1
        attempt = self.watch.new_attempt()
        user.first_name, user.last_name = str(number), attempt
        which = int(user.email == address(user.id, 1))
        self.watch.journal.note("intend", now(), attempt, user.id, number, which, before)


class EveryPasswordFits(Passwords):
    """Costs no time that is not Redis' and SQL's."""

    def __init__(self) -> None:
        pass

    def verify(self, password_hash: str | None, password: str) -> bool:  # noqa: ARG002
        """It does."""
        return True


class Subject:
    """User Management in one process, without HTTP."""

    def __init__(
        self,
        setting: Setting,
        watch: Watch,
        *,
        redis_port: int,
        fence_seconds: float = FENCE_SECONDS,
    ) -> None:
        settings = RedisSettings.load(url=f"redis://127.0.0.1:{redis_port}", _env_file=None)
        client = RedisClient.connect(settings, db=0)
        client.observe(watch)
        self.watch = watch
        self._plain = CacheAsideHelper(client) if setting.plain else None
        self._redis_helper = self._plain or UserManagementRedisHelper(client)
        cache = None if setting.plain else WatchedCache(client, watch, fence_seconds)
        self.database = NumberingDatabase(setting.database_url, cache=cache)
        self.database.watch = watch

    def find(self, user_id: int) -> dict[str, Any]:
        """The user."""
        return users.find(user_id, database=self.database, redis_helper=self._redis_helper)

    def find_by_email(self, email: str) -> dict[str, Any] | None:
        """Whose address that is."""
        return users.find_by_name(
            email=email, database=self.database, redis_helper=self._redis_helper
        )

    def change(self, user_id: int, *, email: str | None = None) -> None:
        """Give the user the next number, and perhaps another address."""
        body = {"dateOfBirth": "1990-01-31"}
        if email is not None:
            body |= {"email": email, "password": "any"}
        self.watch.forget_attempt()
        users.change(
            user_id,
            UserUpdate.model_validate(body),
            actor_id=user_id,
            database=self.database,
            passwords=EveryPasswordFits(),
        )
        if self._plain is not None:
            self.watch.risk("after-commit")
            self._plain.forget(user_id, address(user_id, 0), address(user_id, 1))
            self.watch.journal.note("lifted", now(), self.watch.attempt)
