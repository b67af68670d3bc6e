"""The links that users get by e-mail, each good for one thing, once, for a while."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, select, update

from common.pyportal_common.db import Transaction

from .models import User, UserToken

Purpose = Literal["verify", "reset"]
LIFETIMES: dict[Purpose, timedelta] = {
    "verify": timedelta(days=7),
    "reset": timedelta(minutes=30),
}


def issue(tx: Transaction, user: User, purpose: Purpose) -> str:
    """A new token for a link to the user's address. Of those that verify it is the only one then.

    SQL gets its digest. That is no password hash, and need not be: 256 random bits are not guessed.
    """
    if purpose == "verify":
        end(tx, user.id, purpose)
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    tx.add(
        UserToken(
            user_id=user.id,
            purpose=purpose,
            digest=_digest(token),
            email=user.email,
            created_at=now,
            expires_at=now + LIFETIMES[purpose],
        )
    )
    return token


def find(tx: Transaction, token: str, purpose: Purpose) -> UserToken | None:
    """The link of a token, if it could be used now."""
    return tx.scalar(
        select(UserToken).where(
            UserToken.digest == _digest(token), UserToken.purpose == purpose, *_usable()
        )
    )


def use(tx: Transaction, link: UserToken) -> bool:
    """Use a link up, in this transaction. Of any number of them at once one gets True.

    The caller holds the lock of the user: whoever changes users and links takes that first.
    """
    used = tx.scalar(
        update(UserToken)
        .where(UserToken.id == link.id, *_usable())
        .values(used_at=datetime.now(UTC))
        .returning(UserToken.id)
    )
    return used is not None


def end(tx: Transaction, user_id: int, *purposes: Purpose) -> None:
    """Let no link of the user be good for these any more, of those that are not used."""
    tx.execute(
        delete(UserToken).where(
            UserToken.user_id == user_id,
            UserToken.purpose.in_(purposes),
            UserToken.used_at.is_(None),
        )
    )


def forget_expired(tx: Transaction) -> None:
    """Remove the links that can no longer be used."""
    tx.execute(delete(UserToken).where(UserToken.expires_at < datetime.now(UTC)))


def _usable() -> tuple[ColumnElement[bool], ...]:
    return (UserToken.used_at.is_(None), UserToken.expires_at > datetime.now(UTC))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
