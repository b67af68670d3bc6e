"""SQL: transactions whose commits invalidate the cached values that they change."""

from ..extras import requires

with requires("sql"):
    from .cached_rows import (
        CachedRow,
        UndeclaredCacheKeys,
        delay_if_unfenced,
        fill_at_commit,
        revoke_sessions,
    )
    from .database import Database, violated_columns
    from .idempotency import NO_KEY, IdempotencyKey, IdempotencyKeys, Keep, forget_user
    from .records import RECORDS
    from .types import Base, Transaction, UtcDateTime
    from .waiting import TooManyWaitingWriters

__all__ = [
    "NO_KEY",
    "RECORDS",
    "Base",
    "CachedRow",
    "Database",
    "IdempotencyKey",
    "IdempotencyKeys",
    "Keep",
    "TooManyWaitingWriters",
    "Transaction",
    "UndeclaredCacheKeys",
    "UtcDateTime",
    "delay_if_unfenced",
    "fill_at_commit",
    "forget_user",
    "revoke_sessions",
    "violated_columns",
]
