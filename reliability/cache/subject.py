"""User Management without HTTP, instrumented: the only module here that imports its `app`."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event

from app.models import Message, User
from app.outbox import Outbox
from app.passwords.service import Passwords
from app.redis_helper import UserManagementRedisHelper
from app.users.limits import EmailChanges
from app.users.schemas import UserUpdate, UserView
from app.users.service import Users
from common.pyportal_common.cache_handlers import (
    Cache,
    Fence,
    Fill,
    JsonValue,
    Policy,
    RedisClient,
    RedisSettings,
    keys,
)
from common.pyportal_common.db import Database, Transaction, fill_at_commit
from common.pyportal_common.db.consistency import CacheKind, CacheMonitor, CacheVerifier

from ..crash_points import wrap
from ..journal import now
from .history import START
from .instruments import Instruments
from .settings import USERS, CacheSettings, email_of

FENCE_SECONDS = 30.0
TAGS = 40  # each is of several users
AUDIT_SECONDS = 0.02  # between two samples of all monitors


class InstrumentedCache(Cache):
    """The cache. It records the fences and invalidations that Redis acknowledged."""

    def __init__(self, client: RedisClient, instruments: Instruments, fence_seconds: float) -> None:
        super().__init__(client, fence_seconds=fence_seconds)
        self._instruments = instruments

    def fence(self, names: Collection[str], *, fills: bool = False) -> Fence:
        fence: Fence
        put = super().fence
        fence, acknowledged = self._instruments.acknowledged(lambda: put(names, fills=fills))
        if acknowledged:
            self._instruments.journal.note("fenced", now(), self._instruments.attempt)
        self._instruments.crash_point("before-commit")
        return fence

    def unfence(self, fence: Fence, fills: Mapping[str, Fill] | None = None) -> None:
        self._instruments.crash_point("after-commit")
        super().unfence(fence, fills)
        self._instruments.journal.note("unfenced", now(), self._instruments.attempt)
        self._instruments.crash_point("before-answer")


class NumberingDatabase(Database):
    """The database. It numbers the changes of each user, while it holds the lock of the row.

    `first_name` has the number, and `last_name` the name of the write. Every other change fills the
    cache itself. `before_commit` is called between the fence and the COMMIT.
    """

    instruments: Instruments
    before_commit: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def begin(self, *, changes_cached: bool = True) -> Iterator[Transaction]:
        with super().begin(changes_cached=changes_cached) as tx:
            event.listen(tx, "before_flush", self._before_flush)
            yield tx
            event.listen(tx, "before_commit", self._before_commit)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """See Database. Some reads are slow."""
        with super().read() as tx:
            yield tx
        self.instruments.after_load()

    def _before_flush(self, tx: Transaction, *_: object) -> None:
        for user in tx.dirty:
            if isinstance(user, User):
                self._number(user)
                if int(user.first_name or 0) % 2:
                    view = UserView.model_validate(user).model_dump(mode="json")
                    fill_at_commit(tx, UserManagementRedisHelper.fills_of(view))

    def _before_commit(self, _: Transaction) -> None:
        self.before_commit()
        self.instruments.refuse_commit()
        self.instruments.journal.note("commits", now(), self.instruments.attempt)

    def _number(self, user: User) -> None:
        previous = user.last_name
        number = int(user.first_name or 0) + 1
        attempt = self.instruments.new_attempt()
        user.first_name, user.last_name = str(number), attempt
        address = int(user.email == email_of(user.id, 1))
        note = self.instruments.journal.note
        note("writes", now(), attempt, user.id, number, address, previous)


def get_or_load_aside(cache: Cache, name: str, load: Callable[[], Any], policy: Policy) -> Any:
    """Plain cache-aside: look in the cache, else load from SQL and fill the cache."""
    value = cache.get(name)
    if value is None:
        value = load()
        if value is not None:
            cache.put(name, value, policy.ttl)
    return value


def find_aside(cache: Cache, name: str, load: Callable[[], Any], policy: Policy) -> JsonValue:
    """The same, with the text of the value."""
    return JsonValue.of(get_or_load_aside(cache, name, load, policy))


def tag_of(name: str) -> str | None:
    """The tag by which alone a user with an even id is invalidated; others have it, too."""
    kind, _, identifier = name.rpartition(":")
    is_tagged = kind == "user" and int(identifier) % 2 == 0
    return f"users:{int(identifier) % TAGS}" if is_tagged else None


def _tags_of(user_id: int) -> list[str]:
    tag = tag_of(keys.user(user_id))
    return [] if tag is None else [tag]


def find_by_tag(find: Callable[..., JsonValue]) -> Callable[..., JsonValue]:
    """`Cache.find`, with a tag for such a user."""

    def find_one(cache: Cache, name: str, load: Callable[[], Any], policy: Policy) -> JsonValue:
        tag = tag_of(name)
        if tag is None:
            return find(cache, name, load, policy)
        return JsonValue.of(cache.get_or_load(name, load, policy, tags=[tag]))

    return find_one


def with_tags(cache_keys: Callable[..., Iterable[str]]) -> "staticmethod[..., Iterable[str]]":
    """`User.cache_keys`, with the tag of such a user in place of the key."""

    def tagged_keys(row: Mapping[str, Any]) -> Iterable[str]:
        for name in cache_keys(row):
            tag = tag_of(name)
            yield name if tag is None else keys.tag(tag)

    return staticmethod(tagged_keys)


class NoPasswords(Passwords):
    """Hashes no passwords: that would take the time of the run."""

    def __init__(self) -> None:
        pass


class AnyNumberOfChanges(EmailChanges):
    """Limits nothing."""

    def __init__(self) -> None:
        pass

    @contextmanager
    def counting(self, user_id: int) -> Iterator[Callable[[], None]]:  # noqa: ARG002
        """Count nothing."""
        yield lambda: None


class NoOutbox(Outbox):
    """Writes no messages, which no cached value shows."""

    def __init__(self) -> None:
        pass

    def verification(self, tx: Transaction, user: User) -> Message:  # noqa: ARG002
        """A message that is not stored."""
        return Message()

    def email_changed(self, *_: Any, **__: Any) -> Message:
        """A message that is not stored."""
        return Message()

    def send(self, *messages: Message) -> None:
        """Do nothing."""


class Subject:
    """User Management in one process."""

    def __init__(
        self,
        settings: CacheSettings,
        instruments: Instruments,
        *,
        redis_port: int,
        fence_seconds: float = FENCE_SECONDS,
    ) -> None:
        redis = RedisSettings.load(url=f"redis://127.0.0.1:{redis_port}", _env_file=None)
        client = RedisClient.connect(redis, db=0)
        client.observe(instruments)
        instruments.journal.note("fences", 0 if settings.cache_aside else fence_seconds)
        self.instruments = instruments
        self._cache = InstrumentedCache(client, instruments, fence_seconds)
        self._cache_aside = settings.cache_aside
        if self._cache_aside:
            wrap(Cache, "get_or_load", lambda _: get_or_load_aside)
            wrap(Cache, "find", lambda _: find_aside)
        else:
            wrap(Cache, "find", find_by_tag)
            wrap(User, "cache_keys", with_tags)
        cache = None if self._cache_aside else self._cache
        self.database = NumberingDatabase(settings.database_url, cache=cache)
        self.database.instruments = instruments
        helper = UserManagementRedisHelper(client)
        self._users = Users(self.database, NoPasswords(), helper, NoOutbox(), AnyNumberOfChanges())

    def start_monitor(self) -> CacheMonitor | None:
        """Compare cached values with SQL from now on, often."""
        if self.database.invalidations is None:
            return None
        monitor = CacheMonitor(
            self._cache, self.database.invalidations, self._kinds(), every_seconds=AUDIT_SECONDS
        )
        monitor.start()
        return monitor

    def check_verifier(self) -> str | None:
        """What is wrong with `cache verify`, which has to find a planted value and no other."""
        if self.database.invalidations is None:
            return None
        verifier = CacheVerifier(self._cache, self.database.invalidations, self._kinds())
        before = verifier.verify()
        key = keys.user(1)  # has no tag
        for _ in range(50):  # the last invalidations may still remove what is cached, or planted
            self.find(1)
            stale = (self._cache.client.get(key) or "").replace("user1", "user2")
            self._cache.client.set(key, stale, ttl=60)
            after = verifier.verify()
            if stale and self._cache.client.get(key) == stale:
                break
            time.sleep(0.1)
        found = [each.digest for each in after.stale]
        if before.stale or found != [keys.digest_of(key)]:
            return f"verified: {before}, and with a planted value: {after}"
        return None

    def _kinds(self) -> list[CacheKind]:
        return [
            replace(kind, tags=_tags_of) if kind.key is keys.user else kind
            for kind in self._users.cache_kinds()
        ]

    def find(self, user_id: int) -> dict[str, Any]:
        """The user."""
        user: dict[str, Any] = self._users.find(user_id).value
        return user

    def find_by_email(self, email: str) -> dict[str, Any] | None:
        """The user with that address."""
        return self._users.find_by_name(email=email)

    def change(self, user_id: int, *, email: str | None = None) -> None:
        """Give the user the next number, and perhaps another address."""
        body = {"dateOfBirth": "1990-01-31"}
        if email is not None:
            body |= {"email": email, "password": "any"}
        self.instruments.forget_attempt()
        self._users.change(user_id, UserUpdate.model_validate(body))
        if self._cache_aside:
            self.instruments.crash_point("after-commit")
            lookups = (keys.email_lookup(email_of(user_id, address)) for address in (0, 1))
            self._cache.invalidate(keys.user(user_id), *lookups)
            self.instruments.journal.note("unfenced", now(), self.instruments.attempt)


def create_users(database_url: str) -> None:
    """Insert the users of a run."""
    database = Database(database_url)
    moment = datetime.now(UTC)
    with database.begin() as tx:
        for user_id in range(1, USERS + 1):
            name, email = f"user{user_id}", email_of(user_id, 0)
            user = User(
                id=user_id,
                username=name,
                username_key=name,
                email=email,
                email_key=email,
                first_name="0",
                last_name=START,
                password_hash="none",
                created_at=moment,
                updated_at=moment,
            )
            tx.add(user)
    database.close()
