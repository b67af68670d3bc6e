"""Rate limits that operators change while the services run: rows in SQL."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ..cache_handlers import RateLimit
from .audit import Actor
from .database import Database
from .row_checks import RowCheck
from .types import Transaction, UtcDateTime

_MOST_ROWS = 1000

OVERRIDES = sa.Table(
    "rate_limit_overrides",
    sa.MetaData(),
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("role", sa.String(20), primary_key=True),  # empty in those of everybody
    sa.Column("rate", sa.String(40)),  # as RateLimit.parse reads it; null after `clear`
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("changed_by", sa.String(100), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
_SET = (
    sa.select(OVERRIDES)
    .where(OVERRIDES.c.rate.is_not(None))
    .order_by(OVERRIDES.c.name, OVERRIDES.c.role)
    .limit(_MOST_ROWS)
)


def add_overrides_table(metadata: sa.MetaData) -> None:
    """Add the table to those of a service."""
    if OVERRIDES.name not in metadata.tables:
        OVERRIDES.to_metadata(metadata)


@dataclass(frozen=True, slots=True)
class LimitOverride:
    """The rate that replaces a declared one, for one role or, if that is empty, for everybody.

    `rate` is as in 10/60 or 10/60;shadow; None if the override was cleared. `version` grows with
    each change, also by `clear`.
    """

    name: str
    role: str
    rate: str | None
    version: int
    changed_by: Actor
    changed_at: datetime


class LimitOverrides:
    """The overrides of a service's rate limits. See OverridesInForce for when they apply.

    `audit` records a change in its transaction; if it raises, nothing is changed.
    """

    def __init__(
        self, database: Database, *, audit: Callable[[Transaction, Actor, LimitOverride], object]
    ) -> None:
        self._database = database
        self._audit = audit
        self._any = RowCheck(database.engine, _SET)

    def list(self) -> Sequence[LimitOverride]:
        """The overrides that are not cleared, by name, also those that cannot be used."""
        if not self._any.finds_any():
            return []
        with self._database.read() as tx:
            return [_override(row) for row in tx.execute(_SET)]

    def set(self, limit: RateLimit, *, by: Actor, role: str = "") -> LimitOverride:
        """Replace the rate of the limit of this name."""
        values = _change(limit.rate, by.name)
        with self._database.begin(changes_cached=False) as tx:
            dialect = tx.get_bind().dialect.name
            insert = (
                sqlite.insert(OVERRIDES) if dialect == "sqlite" else postgresql.insert(OVERRIDES)
            )
            changed = insert.values(values | {"name": limit.name, "role": role, "version": 1})
            changed = changed.on_conflict_do_update(
                index_elements=[OVERRIDES.c.name, OVERRIDES.c.role],
                set_=values | {"version": OVERRIDES.c.version + 1},
            )
            found = _override(tx.execute(changed.returning(OVERRIDES)).one())
            self._audit(tx, by, found)
        return found

    def clear(self, name: str, *, by: Actor, role: str = "") -> LimitOverride | None:
        """Return to the declared rate, or for a role to that of everybody. None if it was so."""
        row = (OVERRIDES.c.name == name) & (OVERRIDES.c.role == role)
        changed = sa.update(OVERRIDES).where(row & OVERRIDES.c.rate.is_not(None))
        changed = changed.values(_change(None, by.name) | {"version": OVERRIDES.c.version + 1})
        with self._database.begin(changes_cached=False) as tx:
            row_changed = tx.execute(changed.returning(OVERRIDES)).one_or_none()
            if row_changed is None:
                return None
            cleared = _override(row_changed)
            self._audit(tx, by, cleared)
        return cleared


def _change(rate: str | None, by: str) -> dict[str, Any]:
    return {"rate": rate, "changed_by": by[:100], "changed_at": datetime.now(UTC)}


def _override(row: sa.Row[Any]) -> LimitOverride:
    return LimitOverride(**row._asdict())
