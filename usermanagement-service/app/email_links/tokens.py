"""The tokens of links in e-mails: each for one purpose, for limited time, usable once.

Every function works in the caller's transaction.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, select, update

from common.pyportal_common.db import Transaction, current_time

from ..models import User, UserToken

Purpose = Literal["verify", "reset", "undo", "keep"]
LIFETIMES: dict[Purpose, timedelta] = {
    "verify": timedelta(days=7),
    "reset": timedelta(minutes=30),
    "undo": timedelta(days=7),
    "keep": timedelta(days=7),  # the longest FACTOR_REMOVAL_HOURS
}


def issue(tx: Transaction, user: User, purpose: Purpose, address: str) -> str:
    """A new token for a link that is mailed to the address.

    SQL stores a digest, which need not be a password hash: 256 random bits cannot be guessed.
    """
    token = secrets.token_urlsafe(32)
    now = current_time(tx)
    tx.add(
        UserToken(
            user_id=user.id,
            purpose=purpose,
            digest=_digest(token),
            email=address,
            created_at=now,
            expires_at=now + LIFETIMES[purpose],
        )
    )
    return token


def find(tx: Transaction, token: str, purpose: Purpose) -> UserToken | None:
    """The link with this token, if it is usable now."""
    return tx.scalar(
        select(UserToken).where(
            UserToken.digest == _digest(token), UserToken.purpose == purpose, *_usable(tx)
        )
    )


def use(tx: Transaction, link: UserToken) -> bool:
    """Use up a link. Of any number of concurrent calls exactly one returns True.

    The caller holds the lock of the user, which is always taken before that of a link.
    """
    used = tx.scalar(
        update(UserToken)
        .where(UserToken.id == link.id, *_usable(tx))
        .values(used_at=current_time(tx))
        .returning(UserToken.id)
    )
    return used is not None


def restore(tx: Transaction, link: UserToken) -> None:
    """Make a used link usable again."""
    tx.execute(update(UserToken).where(UserToken.id == link.id).values(used_at=None))


def revoke(tx: Transaction, user_id: int, *purposes: Purpose) -> None:
    """Delete the user's unused links for these purposes."""
    tx.execute(
        delete(UserToken).where(
            UserToken.user_id == user_id,
            UserToken.purpose.in_(purposes),
            UserToken.used_at.is_(None),
        )
    )


def revoke_later(tx: Transaction, link: UserToken) -> None:
    """Delete the user's unused links for the same purpose that were issued after this one."""
    tx.execute(
        delete(UserToken).where(
            UserToken.user_id == link.user_id,
            UserToken.purpose == link.purpose,
            UserToken.id > link.id,
            UserToken.used_at.is_(None),
        )
    )


def _usable(tx: Transaction) -> tuple[ColumnElement[bool], ...]:
    return (UserToken.used_at.is_(None), UserToken.expires_at > current_time(tx))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
