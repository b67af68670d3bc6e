"""New passwords: by the old one, or by a link that was mailed. No HTTP here."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.cache_handlers import RedisUnavailable, Revocation
from common.pyportal_common.db import Database, Transaction, revoke_sessions
from common.pyportal_common.jobs import Run

from . import links, users
from .errors import LinkInvalid, UserNotFound, WeakPassword, WrongPassword
from .models import Event, User, UserToken
from .outbox import Outbox
from .passwords import Passwords, normalized, personal_words, weakness
from .schemas import PasswordChange, PasswordReset
from .verification import mark_verified


def change_password(
    user_id: int,
    change: PasswordChange,
    *,
    session_id: str,
    database: Database,
    passwords: Passwords,
    outbox: Outbox,
) -> int:
    """Set a new password, and end the user's sessions but this one; their new auth epoch.

    Raises UserNotFound, WrongPassword, WeakPassword, PasswordHashingBusy and RedisUnavailable.
    """
    try:
        user = users.confirm(
            user_id, change.current_password, database=database, passwords=passwords
        )
    except WrongPassword:
        # The same request again, after one that set the password and could not end sessions.
        return users.confirm(
            user_id, change.new_password, database=database, passwords=passwords
        ).auth_epoch
    password_hash = _hash(change.new_password, user, passwords)
    with database.begin() as tx:
        row = users.locked(tx, User.id == user_id)
        if row.password_hash != user.password_hash:  # changed meanwhile
            raise WrongPassword
        event = _set(tx, row, password_hash, outbox, spare=session_id)
    outbox.send(event)
    return row.auth_epoch


def ask_for_link(email: str, *, database: Database, outbox: Outbox) -> None:
    """Have the user with this address, if there is one, mailed a link that resets the password.

    A worker finds out whether there is: what is done here is the same, and so takes the same time.
    """
    with database.begin() as tx:
        event = outbox.password_forgotten(tx, email)
    outbox.send(event)


def mail_link(run: Run[Any], *, outbox: Outbox) -> None:
    """What a worker does with that."""
    with run.finish() as (tx, request):
        key = request.body["email"].lower()
        request.body = {}
        user = tx.scalar(select(User).where(User.email_key == key).with_for_update())
        event = outbox.password_reset(tx, user) if user is not None else None
    if event is not None:
        outbox.send(event)


def reset_password(
    reset: PasswordReset, *, database: Database, passwords: Passwords, outbox: Outbox
) -> None:
    """Set a new password by a mailed link, and end all sessions of the user.

    Raises LinkInvalid, WeakPassword and PasswordHashingBusy, which leave the link as it is. So
    does RedisUnavailable, though then the password is set: the sessions end when Redis is back,
    and the same request again gets to know that they have.
    """
    link, user = _found(reset.token, database)
    password_hash = _hash(reset.new_password, user, passwords)
    try:
        with database.begin() as tx:
            row = users.locked(tx, User.id == user.id)
            if not links.use(tx, link):
                raise LinkInvalid
            if row.email == link.email and not row.email_verified:
                mark_verified(row)
            event = _set(tx, row, password_hash, outbox)
    except UserNotFound:
        raise LinkInvalid from None
    except RedisUnavailable:
        _give_back(link, database)
        raise
    outbox.send(event)


def _found(token: SecretStr, database: Database) -> tuple[UserToken, User]:
    with database.read() as tx:
        link = links.find(tx, token.get_secret_value(), "reset")
        user = tx.get(User, link.user_id) if link is not None else None
    if link is None or user is None:
        raise LinkInvalid
    return link, user


def _hash(password: SecretStr, user: User, passwords: Passwords) -> str:
    new = normalized(password.get_secret_value())
    reason = weakness(
        new, personal_words(user.username, user.email, user.first_name, user.last_name)
    )
    if reason is not None:
        raise WeakPassword(reason)
    return passwords.hash(new)


def _set(
    tx: Transaction, user: User, password_hash: str, outbox: Outbox, *, spare: str | None = None
) -> Event:
    """Set the password of a user who is locked: links to reset it end, and sessions but `spare`."""
    user.password_hash = password_hash
    user.auth_epoch += 1
    user.updated_at = datetime.now(UTC)
    links.end(tx, user.id, "reset")
    revoke_sessions(tx, Revocation.of(user.id, user.auth_epoch, spare))
    return outbox.password_changed(tx, user)


def _give_back(link: UserToken, database: Database) -> None:
    """Let a link be used again whose use could not be finished."""
    with suppress(SQLAlchemyError), database.begin() as tx:  # the password is set anyway
        tx.execute(update(UserToken).where(UserToken.id == link.id).values(used_at=None))
