"""SQL: transactions whose commits invalidate the cached values that they change."""

from ..extras import requires

with requires("sql"):
    from .audit import Act, Actor, Audit, AuditEntry, AuditFilter, add_audit_table
    from .cached_rows import (
        CachedRow,
        UndeclaredCacheKeys,
        delay_if_unfenced,
        fill_at_commit,
        invalidate,
        revoke_sessions,
    )
    from .clock import current_time
    from .database import Database, violated_columns
    from .idempotency import NO_KEY, IdempotencyKey, IdempotencyKeys, Keep, forget_user
    from .limit_overrides import LimitOverride, LimitOverrides
    from .overrides_in_force import OverridesInForce
    from .pages import InvalidCursor, Page
    from .records import RECORDS
    from .types import Base, Transaction, UtcDateTime
    from .waiting import TooManyWaitingWriters

__all__ = [
    "NO_KEY",
    "RECORDS",
    "Act",
    "Actor",
    "Audit",
    "AuditEntry",
    "AuditFilter",
    "Base",
    "CachedRow",
    "Database",
    "IdempotencyKey",
    "IdempotencyKeys",
    "InvalidCursor",
    "Keep",
    "LimitOverride",
    "LimitOverrides",
    "OverridesInForce",
    "Page",
    "TooManyWaitingWriters",
    "Transaction",
    "UndeclaredCacheKeys",
    "UtcDateTime",
    "add_audit_table",
    "current_time",
    "delay_if_unfenced",
    "fill_at_commit",
    "forget_user",
    "invalidate",
    "revoke_sessions",
    "violated_columns",
]
