"""Backup codes: ten for each user, shown once, each for one use.

A code has 120 random bits, so SQL stores its SHA-256: nothing can be guessed, even from a copy of
the table.
"""

import hashlib
import secrets

from sqlalchemy import delete, func, select

from common.pyportal_common.db import Transaction

from ..models import BackupCode

COUNT = 10

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # without i, l, o and u: Crockford's base32
_ALIKE = str.maketrans("ilo", "110", " -")
_GROUPS, _GROUP_LENGTH = 4, 6


def replace_codes(tx: Transaction, user_id: int) -> list[str]:
    """New codes in place of all earlier ones, which stop working."""
    forget_codes(tx, user_id)
    codes = [_new() for _ in range(COUNT)]
    tx.add_all(BackupCode(user_id=user_id, digest=digest_of(code)) for code in codes)
    return codes


def forget_codes(tx: Transaction, user_id: int) -> None:
    """Delete the user's codes."""
    tx.execute(delete(BackupCode).where(BackupCode.user_id == user_id))


def count_codes(tx: Transaction, user_id: int) -> int:
    """How many unused codes the user has."""
    codes = select(func.count()).select_from(BackupCode).where(BackupCode.user_id == user_id)
    return tx.scalar(codes) or 0


def is_unused(tx: Transaction, user_id: int, digest: str) -> bool:
    """Whether the user has an unused code with this digest."""
    return tx.get(BackupCode, (user_id, digest)) is not None


def use(tx: Transaction, user_id: int, digest: str) -> bool:
    """Use up the code with this digest. Of any number of concurrent calls one returns True."""
    used = tx.scalar(
        delete(BackupCode)
        .where(BackupCode.user_id == user_id, BackupCode.digest == digest)
        .returning(BackupCode.digest)
    )
    return used is not None


def digest_of(code: str) -> str:
    """The digest of a code, however it is written."""
    return hashlib.sha256(code.lower().translate(_ALIKE).encode("utf-8", "replace")).hexdigest()


def _new() -> str:
    characters = [secrets.choice(_ALPHABET) for _ in range(_GROUPS * _GROUP_LENGTH)]
    starts = range(0, len(characters), _GROUP_LENGTH)
    return "-".join("".join(characters[start : start + _GROUP_LENGTH]) for start in starts)
