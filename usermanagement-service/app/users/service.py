"""User management itself. No HTTP here."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.cache_handlers import RedisPoolExhausted, Revocation
from common.pyportal_common.db import Database, Transaction, revoke_sessions, violated_columns

from . import links
from .errors import UserAlreadyExists, UserNotFound, WrongPassword
from .models import NO_MORE, Event, User
from .outbox import Outbox
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .schemas import Registration, UserUpdate, UserView


def register(
    registration: Registration,
    *,
    database: Database,
    passwords: Passwords,
    redis_helper: UserManagementRedisHelper,
    outbox: Outbox,
    role: str = "user",
) -> dict[str, Any]:
    """Create a user, welcome them, and return them as the API shows them.

    Raises UserAlreadyExists and PasswordHashingBusy. When it returns, the user is on the disk;
    the cache is filled too, unless Redis is unavailable.
    """
    password_hash = passwords.hash(registration.password.get_secret_value())
    now = datetime.now(UTC)
    user = User(
        username=registration.username,
        username_key=registration.username.lower(),
        email=registration.email,
        email_key=registration.email.lower(),
        first_name=registration.first_name,
        last_name=registration.last_name,
        date_of_birth=registration.date_of_birth,
        password_hash=password_hash,
        role=role,
        created_at=now,
        updated_at=now,
    )
    try:
        with database.begin() as tx:
            tx.add(user)
            tx.flush()  # for the id
            event = outbox.welcome(tx, user)
    except IntegrityError as error:
        raise _already_exists(error) from error
    outbox.send(event)
    with suppress(RedisPoolExhausted):  # the user is registered: the next reader fills
        redis_helper.fill_user(
            user.id, user.username, user.email, lambda: _load(user.id, database=database)
        )
    return _view(user)


def find(
    user_id: int, *, database: Database, redis_helper: UserManagementRedisHelper
) -> dict[str, Any]:
    """A user as the API shows them, from the cache if they are there. Raises UserNotFound."""
    user = redis_helper.get_or_load_user(user_id, lambda: _load(user_id, database=database))
    if user is None:
        raise UserNotFound(user_id)
    return user


def find_by_name(
    *,
    username: str | None = None,
    email: str | None = None,
    database: Database,
    redis_helper: UserManagementRedisHelper,
) -> dict[str, Any] | None:
    """The user of a username or an e-mail address, by the cached lookups, or None."""
    column = User.username_key if username is not None else User.email_key
    name = (username or email or "").lower()

    def load_id() -> int | None:
        with database.read() as tx:
            return tx.scalar(select(User.id).where(column == name))

    user_id = redis_helper.get_or_load_user_id(load_id, username=username, email=email)
    if user_id is None:
        return None
    return redis_helper.get_or_load_user(user_id, lambda: _load(user_id, database=database))


def page(after: int, limit: int, *, database: Database) -> tuple[list[dict[str, Any]], int | None]:
    """Up to `limit` users with greater ids than `after`, and the id that the next page is after."""
    with database.read() as tx:
        rows = tx.scalars(
            select(User).where(User.id > after).order_by(User.id).limit(limit + 1)
        ).all()
    shown = rows[:limit]
    return [_view(user) for user in shown], shown[-1].id if len(rows) > limit else None


def change(
    user_id: int,
    update: UserUpdate,
    *,
    actor_id: int,
    database: Database,
    passwords: Passwords,
    outbox: Outbox,
) -> dict[str, Any]:
    """Change what `update` names, and return the user as the API shows them.

    Another e-mail address needs the password of `actor_id`, who changes it, and is mailed a link
    that verifies it. Raises UserNotFound, WrongPassword, UserAlreadyExists and PasswordHashingBusy.
    """
    events: list[Event] = []
    changes = update.model_dump(exclude_unset=True, exclude={"password"})
    if "email" in changes:
        confirm(actor_id, update.password, database=database, passwords=passwords)
        changes["email_key"] = changes["email"].lower()
    try:
        with database.begin() as tx:
            user = locked(tx, User.id == user_id)
            address = user.email
            for name, value in changes.items():
                setattr(user, name, value)
            user.updated_at = datetime.now(UTC)
            if user.email != address:
                events.append(_moved(tx, user, outbox))
    except IntegrityError as error:
        raise _already_exists(error) from error
    outbox.send(*events)
    return _view(user)


def remove(user_id: int, *, database: Database, outbox: Outbox) -> None:
    """Delete a user with their links and networks, and end their sessions; other services hear of
    it. Raises UserNotFound and RedisUnavailable.
    """
    with database.begin() as tx:
        tx.delete(locked(tx, User.id == user_id))
        events = outbox.user_deleted(tx, user_id)
        revoke_sessions(tx, Revocation.of(user_id, NO_MORE))
    outbox.send(*events)


def set_role(username: str, role: str, *, database: Database) -> None:
    """Give a user another role, and end their sessions, which carry the old one.

    Raises UserNotFound and RedisUnavailable.
    """
    with database.begin() as tx:
        user = locked(tx, User.username_key == username.lower())
        user.role = role
        user.auth_epoch += 1
        revoke_sessions(tx, Revocation.of(user.id, user.auth_epoch))


def locked(tx: Transaction, which: ColumnElement[bool]) -> User:
    """The user, whom nobody else changes until this transaction ends. Raises UserNotFound."""
    user = tx.scalar(select(User).where(which).with_for_update())
    if user is None:
        raise UserNotFound(which)
    return user


def _moved(tx: Transaction, user: User, outbox: Outbox) -> Event:
    """The user has another address. Whoever reads what goes to the old one may do nothing more.

    So does who only writes it differently: to a mail server that may be another address.
    """
    user.email_verified_at = None
    links.end(tx, user.id, "verify", "reset")
    return outbox.verification(tx, user)


def confirm(
    user_id: int, password: SecretStr | None, *, database: Database, passwords: Passwords
) -> User:
    """The user, if that is their password. Raises UserNotFound, WrongPassword and
    PasswordHashingBusy.
    """
    with database.read() as tx:
        user = tx.get(User, user_id)
    if user is None:
        raise UserNotFound(user_id)
    if password is None or not passwords.verify(user.password_hash, password.get_secret_value()):
        raise WrongPassword
    return user


def _load(user_id: int, *, database: Database) -> dict[str, Any] | None:
    with database.read() as tx:
        user = tx.get(User, user_id)
    return None if user is None else _view(user)


def _view(user: User) -> dict[str, Any]:
    return UserView.model_validate(user).model_dump(mode="json")


def _already_exists(error: IntegrityError) -> Exception:
    taken = violated_columns(error, ["username_key", "email_key"])
    if not taken:
        return error
    return UserAlreadyExists([column.removesuffix("_key") for column in taken])
