"""Challenges: random bytes that a passkey signs, and seeds that a code confirms. Each for one use.

They are rows of SQL. What Redis forgets or repeats cannot make one usable again.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import delete, select

from common.pyportal_common.db import Transaction, current_time

from ..models import FactorChallenge

Purpose = Literal["assert", "register", "enrol"]
LIFETIMES: dict[Purpose, timedelta] = {
    "assert": timedelta(minutes=5),
    "register": timedelta(minutes=5),
    "enrol": timedelta(minutes=15),
}


def issue(
    tx: Transaction, purpose: Purpose, *, user_id: int | None = None, seed: str | None = None
) -> bytes:
    """A new challenge. One of a user replaces the user's earlier ones for the same purpose."""
    if user_id is not None:
        revoke(tx, user_id, purpose)
    challenge = secrets.token_bytes(32)
    expires_at = current_time(tx) + LIFETIMES[purpose]
    tx.add(
        FactorChallenge(
            digest=_digest(challenge),
            purpose=purpose,
            user_id=user_id,
            seed=seed,
            expires_at=expires_at,
        )
    )
    return challenge


def use(
    tx: Transaction, purpose: Purpose, challenge: bytes | None, *, user_id: int | None = None
) -> bool:
    """Use up a challenge, whatever is then found about the signature.

    Of any number of concurrent calls one returns True.
    """
    if challenge is None:
        return False
    used = tx.scalar(
        delete(FactorChallenge)
        .where(
            FactorChallenge.digest == _digest(challenge),
            FactorChallenge.purpose == purpose,
            FactorChallenge.user_id == user_id,
            FactorChallenge.expires_at > current_time(tx),
        )
        .returning(FactorChallenge.digest)
    )
    return used is not None


def pending_seed(tx: Transaction, user_id: int) -> str | None:
    """The encrypted seed that the user has not confirmed yet."""
    return tx.scalar(
        select(FactorChallenge.seed).where(
            FactorChallenge.user_id == user_id,
            FactorChallenge.purpose == "enrol",
            FactorChallenge.expires_at > current_time(tx),
        )
    )


def revoke(tx: Transaction, user_id: int, purpose: Purpose) -> bool:
    """Delete the user's challenges for a purpose. Whether there was one."""
    found = tx.scalars(
        delete(FactorChallenge)
        .where(FactorChallenge.user_id == user_id, FactorChallenge.purpose == purpose)
        .returning(FactorChallenge.digest)
    )
    return len(found.all()) > 0


def challenge_in(credential: Mapping[str, Any]) -> bytes | None:
    """The challenge that a browser says it has signed; None if that cannot be read."""
    from webauthn.helpers import base64url_to_bytes, parse_client_data_json  # 14 MB

    try:
        client_data = base64url_to_bytes(credential["response"]["clientDataJSON"])
        return parse_client_data_json(client_data).challenge
    except Exception:  # noqa: BLE001  the library documents no errors for what clients send
        return None


def _digest(challenge: bytes) -> str:
    return hashlib.sha256(challenge).hexdigest()
