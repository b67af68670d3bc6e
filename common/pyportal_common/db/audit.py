"""What operators and admins did: a row for each act, in the transaction that acts."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from .batches import delete_in_batches
from .clock import current_time
from .database import Database
from .pages import Page, id_below, made_between
from .types import Transaction, UtcDateTime

_MOST_COUNTED = 10_000  # entries

AUDIT = sa.Table(
    "audit",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("action", sa.String(50), nullable=False),
    sa.Column("target", sa.String(250), nullable=False),
    sa.Column("filter", sa.Text, nullable=False),  # a JSON object
    sa.Column("count", sa.Integer),
    sa.Column("request_id", sa.String(100), nullable=False),
    sa.Index("ix_audit_actor_id", "actor", "id"),
    sa.Index("ix_audit_action_id", "action", "id"),
    sa.Index("ix_audit_target_id", "target", "id"),
)


def add_audit_table(metadata: sa.MetaData) -> None:
    """Add the table to those of a service."""
    if AUDIT.name not in metadata.tables:
        AUDIT.to_metadata(metadata)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, such as "user=7" or the name of an operator, and in which request."""

    name: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """What an actor does: "jobs retry" to "tasks", of those in the `filter`."""

    action: str
    target: str = ""
    filter: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An act as it was recorded. `count` is how many it changed; None if that is not known."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    filter: Mapping[str, Any]
    count: int | None
    request_id: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """The entries with all of these values, from `since` on and before `until`."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Audit:
    """The records of what operators and admins did in a service."""

    def __init__(self, database: Database, *, kept_days: int = 365) -> None:
        self._database = database
        self._kept = timedelta(days=kept_days)

    def record(self, tx: Transaction, actor: Actor, act: Act, *, count: int | None = None) -> int:
        """Record an act in the transaction that acts. Returns the id of the entry."""
        values = {
            "at": current_time(tx),
            "actor": actor.name[:100],
            "action": act.action,
            "target": act.target[:250],
            "filter": json.dumps(act.filter),
            "count": count,
            "request_id": actor.request_id[:100],
        }
        return int(tx.execute(sa.insert(AUDIT).returning(AUDIT.c.id), values).scalar_one())

    def count_more(self, tx: Transaction, entry_id: int, more: int) -> None:
        """Add to the count of an act that takes several transactions."""
        entry = sa.update(AUDIT).where(AUDIT.c.id == entry_id)
        tx.execute(entry.values(count=AUDIT.c.count + more))

    def record_first(self, actor: Actor, act: Act, *, count: int | None = None) -> None:
        """Record what cannot be in a transaction, such as an act on Redis, before it is done."""
        with self._database.begin(changes_cached=False) as tx:
            self.record(tx, actor, act, count=count)

    def page(
        self, wanted: AuditFilter = AuditFilter(), *, limit: int = 50, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """The entries, the newest first. Raises InvalidCursor."""
        found = sa.select(AUDIT).where(AUDIT.c.id < id_below(cursor))
        with self._database.read() as tx:
            found = found.where(
                *_equal(tx, wanted),
                *made_between(tx, AUDIT.c.id, AUDIT.c.at, wanted.since, wanted.until),
            )
            rows = tx.execute(found.order_by(AUDIT.c.id.desc()).limit(limit + 1)).all()
        return Page.of(rows, limit, _entry)

    def delete_old(self) -> None:
        """Delete the entries that are older than `kept_days`."""
        delete_in_batches(self._database, AUDIT, AUDIT.c.at < self._database.now() - self._kept)


def _equal(tx: Transaction, wanted: AuditFilter) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions for the entries with the values of a filter.

    SQLite has no statistics, and would choose the index of an action that half of the entries have.
    So the value that is rarest, among 10,000 entries each, is compared by its index, and the others
    without: that is what the sign + means.
    """
    values = {name: getattr(wanted, name) for name in ("target", "actor", "action")}
    given = {AUDIT.c[name]: value for name, value in values.items() if value is not None}
    if len(given) < 2 or tx.get_bind().dialect.name != "sqlite":
        yield from (column == value for column, value in given.items())
        return

    def count(column: sa.Column[str]) -> int:
        some = sa.select(AUDIT.c.id).where(column == given[column]).limit(_MOST_COUNTED)
        return tx.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0

    rarest = min(given, key=count)
    for column, value in given.items():
        yield (column if column is rarest else sa.literal_column(f"+{column}")) == value


def _entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(**{**row._asdict(), "filter": json.loads(row.filter)})
