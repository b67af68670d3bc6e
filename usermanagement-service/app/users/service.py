"""Registering, reading, changing and deleting users."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from common.pyportal_common.cache_handlers import JsonValue, Revocation, SessionRevoked, keys
from common.pyportal_common.db import (
    NO_KEY,
    Database,
    IdempotencyKey,
    Transaction,
    fill_at_commit,
    forget_user,
    revoke_sessions,
    violated_columns,
)
from common.pyportal_common.db.consistency import CacheKind

from ..email_links import tokens
from ..errors import EmailTaken, UserAlreadyExists, UserNotFound
from ..models import DELETED_EPOCH, Message, User
from ..outbox import Outbox
from ..passwords.service import Passwords
from ..redis_helper import LOOKUP_CACHING, USER_CACHING, UserManagementRedisHelper
from .limits import EmailChanges
from .schemas import Registration, UserList, UserUpdate, UserView


class Users:
    """The users in SQL, read through the cache."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        cache: UserManagementRedisHelper,
        outbox: Outbox,
        email_changes: EmailChanges,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._cache = cache
        self._outbox = outbox
        self._email_changes = email_changes

    def register(
        self, registration: Registration, *, role: str = "user", key: IdempotencyKey = NO_KEY
    ) -> dict[str, Any]:
        """Create a user, send them a welcome e-mail, and return them as the API shows them.

        Raises UserAlreadyExists and PasswordHashingBusy. When it returns, the user is committed,
        and cached unless Redis is unavailable. Four round trips, with those for the limits and for
        the message.
        """
        password_hash = self._passwords.hash(registration.password)
        now = datetime.now(UTC)
        user = User(
            **registration.model_dump(exclude={"password"}),
            username_key=registration.username.lower(),
            email_key=registration.email.lower(),
            password_hash=password_hash,
            role=role,
            created_at=now,
            updated_at=now,
        )
        try:
            with self._database.begin() as tx, key.claim(tx) as keep:
                tx.add(user)
                tx.flush()  # for the id
                message = self._outbox.welcome(tx, user)
                view = _view(user)
                fill_at_commit(tx, self._cache.fills_of(view))
                keep(view, user_id=user.id)
        except IntegrityError as error:
            wanted = {"username_key": user.username_key, "email_key": user.email_key}
            raise self._already_exists(error, wanted) from error
        self._outbox.send(message)
        return view

    def find(self, user_id: int) -> JsonValue:
        """A user as the API shows them, from the cache or SQL. Raises UserNotFound."""
        user = self._cache.find_user(user_id, lambda: self._load(user_id))
        if user.value is None:
            raise UserNotFound(user_id)
        return user

    def find_by_name(
        self, *, username: str | None = None, email: str | None = None
    ) -> dict[str, Any] | None:
        """The user with a username or an e-mail address, by the cached lookups; or None."""
        column = User.username_key if username is not None else User.email_key
        load_id = partial(self._load_id, column, (username or email or "").lower())
        user_id = self._cache.get_or_load_user_id(load_id, username=username, email=email)
        if user_id is None:
            return None
        user: dict[str, Any] | None
        user = self._cache.find_user(user_id, lambda: self._load(user_id)).value
        return user

    def cache_kinds(self) -> Sequence[CacheKind]:
        """The kinds of values that are cached, and how they follow from SQL."""
        by_username, by_email = (
            partial(self._load_id, column) for column in (User.username_key, User.email_key)
        )
        return [
            CacheKind(keys.user, self._load, USER_CACHING),
            CacheKind(keys.username_lookup, by_username, LOOKUP_CACHING, identifier=str),
            CacheKind(keys.email_lookup, by_email, LOOKUP_CACHING, identifier=str),
        ]

    def page(self, cursor: int, *, limit: int) -> UserList:
        """A page of the users with ids greater than `cursor`."""
        with self._database.read() as tx:
            rows = tx.scalars(
                select(User).where(User.id > cursor).order_by(User.id).limit(limit + 1)
            ).all()
        users = [UserView.model_validate(user) for user in rows[:limit]]
        return UserList(items=users, next=str(users[-1].id) if len(rows) > limit else None)

    def change(
        self, user_id: int, update: UserUpdate, *, epoch: int | None = None
    ) -> dict[str, Any]:
        """Change the fields in `update`, and return the user as the API shows them.

        A link that verifies a new e-mail address is mailed to it, and one that undoes the change to
        the old one if that is verified. With the `epoch` in which the
        user has authenticated, raises SessionRevoked if that has ended. Raises UserNotFound,
        EmailTaken and TooManyEmailChanges.
        """
        changes = update.model_dump(exclude_unset=True, exclude={"password"})
        if "email" not in changes:
            user, _ = self._change(user_id, changes, epoch)
            return _view(user)
        changes["email_key"] = changes["email"].lower()
        with self._email_changes.counting(user_id) as count:
            user, messages = self._change(user_id, changes, epoch)
            if messages:
                count()
        self._outbox.send(*messages)
        return _view(user)

    def _change(
        self, user_id: int, changes: dict[str, Any], epoch: int | None
    ) -> tuple[User, list[Message]]:
        """Change a user; with the messages to the old and the new e-mail address, if it changed."""
        messages: list[Message] = []
        try:
            with self._database.begin() as tx:
                user = User.lock(tx, User.id == user_id)
                if epoch is not None and epoch < user.auth_epoch:
                    raise SessionRevoked("the sessions have ended during the request")
                old_email, was_verified = user.email, user.email_verified
                for name, value in changes.items():
                    setattr(user, name, value)
                user.updated_at = datetime.now(UTC)
                if user.email.lower() != old_email.lower():
                    messages = self._email_changed(tx, user, old_email, was_verified)
        except IntegrityError as error:
            if violated_columns(error, ["email_key"]):
                raise EmailTaken(["email"]) from error
            raise
        return user, messages

    def remove(self, user_id: int) -> None:
        """Delete a user with links, networks and keys, end the sessions, and notify the other
        services. Raises UserNotFound and RedisUnavailable.
        """
        with self._database.begin() as tx:
            tx.delete(User.lock(tx, User.id == user_id))
            messages = self._outbox.user_deleted(tx, user_id)
            forget_user(tx, user_id)
            revoke_sessions(tx, Revocation.of(user_id, DELETED_EPOCH))
        self._outbox.send(*messages)

    def set_role(self, username: str, role: str) -> None:
        """Set a user's role, and end their sessions, which contain the old one.

        Raises UserNotFound and RedisUnavailable.
        """
        with self._database.begin() as tx:
            user = User.lock(tx, User.username_key == username.lower())
            user.role = role
            user.auth_epoch += 1
            revoke_sessions(tx, Revocation.of(user.id, user.auth_epoch))

    def _load(self, user_id: int) -> dict[str, Any] | None:
        with self._database.read() as tx:
            user = tx.get(User, user_id)
        return None if user is None else _view(user)

    def _load_id(self, column: InstrumentedAttribute[str], name: str) -> int | None:
        with self._database.read() as tx:
            return tx.scalar(select(User.id).where(column == name))

    def _email_changed(
        self, tx: Transaction, user: User, old_email: str, was_verified: bool
    ) -> list[Message]:
        """The new address is unverified, and links that were mailed to the old one stop working.

        This includes a change of case: to a mail server that may be another address. The old one is
        notified. Only a verified one can undo the change: another may be a stranger's.
        """
        user.email_verified_at = None
        tokens.revoke(tx, user.id, "reset")
        notice = self._outbox.email_changed(tx, user, old_email, undoable=was_verified)
        return [self._outbox.verification(tx, user), notice]

    def _already_exists(self, error: IntegrityError, wanted: Mapping[str, Any]) -> Exception:
        """UserAlreadyExists with every taken field: the database names only the first of them."""
        violated = violated_columns(error, list(wanted))
        if not violated:
            return error
        columns = [getattr(User, name) for name in wanted]
        conditions = [column == wanted[column.key] for column in columns]
        with self._database.read() as tx:
            rows = tx.execute(select(*columns).where(or_(*conditions))).mappings().all()
        taken = [
            name
            for name, value in wanted.items()
            if name in violated or any(row[name] == value for row in rows)
        ]
        return UserAlreadyExists([name.removesuffix("_key") for name in taken])


def _view(user: User) -> dict[str, Any]:
    return UserView.model_validate(user).model_dump(mode="json")
