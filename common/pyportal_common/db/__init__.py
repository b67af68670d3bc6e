"""SQL: transactions whose commits invalidate the cached values that they change."""

from .cached_rows import CachedRow, UndeclaredCacheKeys, delay_if_unfenced, revoke_sessions
from .database import Database, violated_columns
from .types import Base, Transaction, UtcDateTime

__all__ = [
    "Base",
    "CachedRow",
    "Database",
    "Transaction",
    "UndeclaredCacheKeys",
    "UtcDateTime",
    "delay_if_unfenced",
    "revoke_sessions",
    "violated_columns",
]
