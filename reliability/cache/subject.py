"""The services' own code, as User Management wires it, and what of it a run has to know."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from app import users
from app.models import Event, User
from app.outbox import Outbox
from app.passwords import Passwords
from app.redis_helper import UserManagementRedisHelper
from app.schemas import UserUpdate
from common.pyportal_common.cache_handlers import (
    Cache,
    Fence,
    RedisClient,
    RedisSettings,
)
from common.pyportal_common.db import Database, Transaction

from .cache_aside import CacheAsideHelper
from .journal import now
from .setting import Setting, address
from .watch import Watch

FENCE_SECONDS = 30.0


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

    def unfence(self, fence: Fence) -> None:
        """As the cache does."""
        self._watch.risk("after-commit")
        super().unfence(fence)
        self._watch.journal.note("lifted", now(), self._watch.attempt)
        self._watch.risk("before-answer")


class NumberingDatabase(Database):
    """The database, giving each change of a user the next number, under the lock of the row.

    The number stands in `first_name`, and who wrote it in `last_name`. `pause` is called between
    the fence and the COMMIT.
    """

    watch: Watch
    always_strict = False
    pause: Callable[[], None] | None = None

    @contextmanager
    def begin(self, *, strict: bool = False) -> Iterator[Session]:
        """As the database does."""
        with super().begin(strict=strict or self.always_strict) as tx:
            event.listen(tx, "before_flush", self._before_flush)
            yield tx
            event.listen(tx, "before_commit", self._before_commit)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """As the database does, but slow now and then: what was read is older when it is used."""
        with super().read() as tx:
            yield tx
        self.watch.loaded()

    def _before_flush(self, tx: Transaction, *_: object) -> None:
        for user in tx.dirty:
            if isinstance(user, User):
                self._number(user)

    def _before_commit(self, _: Session) -> None:
        if self.pause is not None:
            self.pause()
        self.watch.refuse()
        self.watch.journal.note("commits", now(), self.watch.attempt)

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


class NobodyIsTold(Outbox):
    """Writes no events, which no cached value shows."""

    def __init__(self) -> None:
        pass

    def verification(self, tx: Transaction, user: User) -> Event:  # noqa: ARG002
        """Nothing."""
        return Event()

    def send(self, *events: Event) -> None:
        """To nobody."""


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
            outbox=NobodyIsTold(),
        )
        if self._plain is not None:
            self.watch.risk("after-commit")
            self._plain.forget(user_id, address(user_id, 0), address(user_id, 1))
            self.watch.journal.note("lifted", now(), self.watch.attempt)
