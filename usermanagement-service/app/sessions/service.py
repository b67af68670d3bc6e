"""Logging in, and what users may do with their sessions. No HTTP here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import or_, select, update

from common.pyportal_common.cache_handlers import (
    Charge,
    Limiter,
    RateLimit,
    Revocation,
    Session,
    SessionRevoked,
    SessionStore,
)
from common.pyportal_common.db import Database, revoke_sessions

from . import networks
from .errors import InvalidCredentials, TooManyFailures, WrongPassword
from .models import NO_MORE, User
from .outbox import Outbox
from .passwords import Passwords
from .schemas import Credentials, UserView


def log_in(
    credentials: Credentials,
    *,
    network: str,
    database: Database,
    passwords: Passwords,
    sessions: SessionStore,
    limiter: Limiter,
    failures: RateLimit,
    outbox: Outbox,
) -> tuple[Session, dict[str, Any]]:
    """A new session, and the user as the API shows them, who is told if the `network` is new.

    Raises InvalidCredentials, after the same work whether or not there is such a user, and
    TooManyFailures for a name that failed too often, whoever tried. Raises PasswordHashingBusy,
    and RedisUnavailable. Three round trips to Redis, and one more where the user is told.
    """
    name = credentials.name
    with counting_failures(name, limiter=limiter, failures=failures):
        with database.read() as tx:
            user = tx.scalar(
                select(User).where(or_(User.username_key == name, User.email_key == name))
            )
        password_hash = user.password_hash if user is not None else None
        right = passwords.verify(password_hash, credentials.password.get_secret_value())
        if user is None or not right:
            raise InvalidCredentials
        try:
            begun = sessions.create(user.id, user_data(user), auth_epoch=user.auth_epoch)
        except SessionRevoked:  # the password was changed while we compared it
            raise InvalidCredentials from None
    networks.note(user.id, network, database=database, outbox=outbox)
    return begun, UserView.model_validate(user).model_dump(mode="json")


def user_data(user: User) -> dict[str, Any]:
    """What a session says of its user to all services."""
    return {"username": user.username, "role": user.role}


def end_sessions(user_id: int, *, database: Database, spare: str | None = None) -> None:
    """End all sessions of a user but the one with the id `spare`.

    Also stops logins that are on their way. Raises RedisUnavailable.
    """
    with database.begin() as tx:
        epoch = tx.scalar(
            update(User)
            .where(User.id == user_id)
            .values(auth_epoch=User.auth_epoch + 1)
            .returning(User.auth_epoch),
            execution_options={"cache_keys": ()},  # no cached value has the epoch
        )
        end = NO_MORE if epoch is None else epoch
        revoke_sessions(tx, Revocation.of(user_id, end, spare))


@contextmanager
def counting_failures(name: str, *, limiter: Limiter, failures: RateLimit) -> Iterator[None]:
    """Count a wrong password in the block as a failed login of `name`, and nothing else.

    Whoever has stolen a session must not be able to try passwords with it, and who mistypes an
    e-mail address must not be locked out. Raises TooManyFailures before the block.
    """
    attempt = limiter.hit(Charge(failures, f"name:{name.lower()}"))
    if not attempt.allowed:
        raise TooManyFailures(attempt)
    try:
        yield
    except (WrongPassword, InvalidCredentials):
        raise
    except BaseException:
        limiter.refund(attempt)
        raise
    limiter.refund(attempt)


def end_session_named(user_id: int | str, public_id: str, *, sessions: SessionStore) -> bool:
    """End that one of a user's sessions. Whether there was one. Three round trips."""
    for session in sessions.list(user_id):
        if session.public_id == public_id:
            return sessions.revoke(session.session_id)
    return False
