"""The ticks of schedules in SQL: a row for each, with the process that runs it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ..db import Database, Transaction, UtcDateTime
from .pauses import PAUSES

TICKS = sa.Table(
    "schedules",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("name", sa.String(50), nullable=False),
    sa.Column("tick", UtcDateTime, nullable=False),
    sa.Column("status", sa.String(10), nullable=False),  # see `Tick`
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("due_at", UtcDateTime),  # of a tick that waits for its next attempt
    sa.Column("token", sa.String(32)),  # of the process that runs the tick
    sa.Column("beats", sa.Integer, nullable=False),  # of that process
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    sa.UniqueConstraint("name", "tick", name="uq_schedules_name_tick"),
    sa.Index(
        "ix_schedules_open",
        "id",
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    ),
)

KEPT = 1000
"""How many ticks of a schedule are kept, the newest ones."""

_MAX_OPEN = 100  # ticks that are looked at: there are few


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick as it is in SQL. `status` is running, waiting, done, failed or skipped."""

    id: int
    name: str
    tick: datetime
    status: str
    attempts: int
    error: str | None
    due_at: datetime | None
    token: str | None
    beats: int
    started_at: datetime | None
    finished_at: datetime | None


def add_schedule_tables(metadata: sa.MetaData) -> None:
    """Add the tables of schedules and of paused kinds to those of a service that has workers."""
    for table in (TICKS, PAUSES):
        if table.name not in metadata.tables:
            table.to_metadata(metadata)


class Ticks:
    """The ticks of a service in SQL. Every method may raise SQLAlchemyError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, name: str, *, until: datetime | None = None) -> Tick | None:
        """The last tick of a schedule, up to a moment."""
        query = sa.select(TICKS).where(TICKS.c.name == name).order_by(TICKS.c.tick.desc()).limit(1)
        if until is not None:
            query = query.where(TICKS.c.tick <= until)
        with self._database.read() as tx:
            row = tx.execute(query).first()
        return None if row is None else _tick_of(row)

    def open(self) -> list[Tick]:
        """The ticks that are running, or wait for another attempt."""
        query = sa.select(TICKS).where(TICKS.c.finished_at.is_(None))
        with self._database.read() as tx:
            rows = tx.execute(query.order_by(TICKS.c.id).limit(_MAX_OPEN)).all()
        return [_tick_of(row) for row in rows]

    def insert(
        self, name: str, tick: datetime, *, now: datetime, skip_because: str | None = None
    ) -> Tick | None:
        """Insert a tick, running under a new token, or skipped. None if another process has.

        Only the newest KEPT ticks of the schedule are kept. One that is older than all of them is
        never inserted: it may have been run, and deleted.
        """
        values: dict[str, Any] = {"name": name, "tick": tick, "beats": 0}
        if skip_because is None:
            token = secrets.token_hex(16)
            values |= {"status": "running", "attempts": 1, "token": token, "started_at": now}
        else:
            ended = {"error": skip_because, "finished_at": now}
            values |= {"status": "skipped", "attempts": 0, **ended}
        newest = sa.select(TICKS.c.tick).where(TICKS.c.name == name).order_by(TICKS.c.tick.desc())
        with self._database.begin(changes_cached=False) as tx:
            oldest_kept = tx.scalar(newest.offset(KEPT - 1).limit(1))
            if oldest_kept is not None and tick < oldest_kept:
                return None
            is_sqlite = tx.get_bind().dialect.name == "sqlite"
            insert = sqlite.insert(TICKS) if is_sqlite else postgresql.insert(TICKS)
            statement = insert.values(values).on_conflict_do_nothing().returning(TICKS)
            row = tx.execute(statement).first()
            if row is not None and oldest_kept is not None:
                self._delete_old(tx, name, oldest_kept)
        return None if row is None else _tick_of(row)

    def claim(self, tick: Tick, *, now: datetime) -> Tick | None:
        """Take over a tick, unless it has changed since it was read."""
        values = {"status": "running", "attempts": tick.attempts + 1, "beats": 0, "due_at": None}
        token = secrets.token_hex(16)
        return self._change(tick, values | {"token": token, "started_at": now})

    def beat(self, tick: Tick) -> Tick | None:
        """Show that its process is alive. None if the claim has ended."""
        return self._change(tick, {"beats": tick.beats + 1})

    def end(self, tick: Tick, status: str, *, now: datetime, error: str | None = None) -> bool:
        """End a tick. Whether the claim still held."""
        values = {"status": status, "error": error, "finished_at": now, "token": None}
        return self._change(tick, values | {"due_at": None}, any_beat=True) is not None

    def retry(self, tick: Tick, error: str, *, due_at: datetime) -> bool:
        """Schedule another attempt. Whether the claim still held."""
        values = {"status": "waiting", "error": error, "due_at": due_at, "token": None}
        return self._change(tick, values, any_beat=True) is not None

    def _change(
        self, tick: Tick, values: Mapping[str, Any], *, any_beat: bool = False
    ) -> Tick | None:
        unchanged = [
            TICKS.c.id == tick.id,
            TICKS.c.attempts == tick.attempts,
            TICKS.c.finished_at.is_(None),
            TICKS.c.token.is_(None) if tick.token is None else TICKS.c.token == tick.token,
        ]
        if not any_beat:
            unchanged.append(TICKS.c.beats == tick.beats)
        statement = sa.update(TICKS).where(*unchanged).values(values).returning(TICKS)
        with self._database.begin(changes_cached=False) as tx:
            row = tx.execute(statement).first()
        return None if row is None else _tick_of(row)

    @staticmethod
    def _delete_old(tx: Transaction, name: str, oldest_kept: datetime) -> None:
        is_old = sa.and_(TICKS.c.name == name, TICKS.c.tick < oldest_kept)
        tx.execute(sa.delete(TICKS).where(is_old, TICKS.c.finished_at.is_not(None)))


def _tick_of(row: sa.Row[Any]) -> Tick:
    return Tick(**row._asdict())
