"""The table of invalidations: a row for each transaction that changes cached values."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from ..cache_handlers import Revocation
from .cached_rows import PendingInvalidations
from .clock import clock_of, with_server_clock
from .engines import STATEMENT_SECONDS, open_engine, read_only
from .row_checks import RowCheck
from .types import Base, UtcDateTime

T = TypeVar("T")

RECORDS = sa.Table(
    "cache_invalidations",
    Base.metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("keys", sa.Text, nullable=False),  # a JSON array
    sa.Column("revocations", sa.Text, nullable=False),  # a JSON array of objects
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime, index=True),
    # Of a record that could not be applied:
    sa.Column("failures", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("reason", sa.Text),
    sa.Column("retry_at", UtcDateTime),
)
"""The table of the invalidations that commits record, for the migrations of an app."""

# Built once, not for each commit or each second.
_INSERT = sa.insert(RECORDS).returning(RECORDS.c.id)
_PENDING = sa.select(RECORDS).where(RECORDS.c.done_at.is_(None)).order_by(RECORDS.c.id)
_NOW = sa.bindparam("now", type_=UtcDateTime)
_DUE = _PENDING.where(
    RECORDS.c.created_at < sa.bindparam("before", type_=UtcDateTime),
    sa.or_(RECORDS.c.retry_at.is_(None), RECORDS.c.retry_at <= _NOW),
).limit(sa.bindparam("count", type_=sa.Integer))

_BATCH = 500  # rows of a statement
_WRITE_TIMEOUT = 0.2  # seconds, on SQLite: if others write, the caller tries again later
_LONGEST_BACKOFF = 60.0  # seconds
_MAX_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Record:
    """What to invalidate for one transaction."""

    id: int
    keys: tuple[str, ...] | None
    revocations: tuple[Revocation, ...] | None
    """None, as for the keys, if another release has written what this one does not understand."""
    has_failed: bool

    @classmethod
    def of(cls, row: sa.Row[Any]) -> Self:
        """The record in a row of the table."""
        return cls(
            row.id,
            _parsed(row.keys, str),
            _parsed(row.revocations, lambda each: Revocation(**each)),
            row.failures > 0 and row.done_at is None,
        )


def _parsed(text: str, parse: Callable[[Any], T]) -> tuple[T, ...] | None:
    try:
        return tuple(parse(each) for each in json.loads(text))
    except (ValueError, TypeError):
        return None


class Records:
    """The records of a database.

    They have their own SQL connections, because all connections of the requests may be waiting for
    Redis. Every method may raise SQLAlchemyError.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.clock = clock_of(engine)
        self._reading = read_only(self._engine)
        self._any_pending = RowCheck(self._engine, _PENDING)
        self._is_closed = False

    @classmethod
    def open(cls, url: str, *, statement_seconds: float = STATEMENT_SECONDS) -> Self:
        """The records of the database at a URL."""
        return cls(
            open_engine(
                url,
                pool_size=3,
                write_timeout=_WRITE_TIMEOUT,
                statement_seconds=statement_seconds,
            )
        )

    @classmethod
    def beside(cls, engine: sa.Engine) -> Self:
        """The records of an engine's database, with connections that are opened as its are."""
        beside = sa.Engine(engine.pool.recreate(), engine.dialect, engine.url)
        return cls(with_server_clock(beside) if engine.name == "postgresql" else beside)

    def insert(self, connection: sa.Connection, pending: PendingInvalidations) -> int:
        """Insert a record into the transaction of a connection and return its id."""
        values = {
            "keys": json.dumps(sorted(pending.keys)),
            "revocations": json.dumps([asdict(each) for each in pending.revocations]),
            "created_at": clock_of(connection, self.clock).now(),
        }
        return int(connection.execute(_INSERT, values).scalar_one())

    def all(self) -> list[Record]:
        """Every record, done or not."""
        return self._read(sa.select(RECORDS).order_by(RECORDS.c.id))

    def pending(self, limit: int) -> list[Record]:
        """The oldest records that are not done."""
        return self._read(_PENDING.limit(limit))

    def newest_id(self) -> int:
        """The id of the newest record, done or not; 0 if there is none."""
        with self._connect(self._reading) as connection:
            return connection.scalar(sa.select(sa.func.max(RECORDS.c.id))) or 0

    def newer_than(self, record_id: int, limit: int) -> list[Record]:
        """The newest records with a greater id, done or not, the newest first."""
        newer = sa.select(RECORDS).where(RECORDS.c.id > record_id)
        return self._read(newer.order_by(RECORDS.c.id.desc()).limit(limit))

    def oldest_pending_seconds(self) -> float:
        """The age of the oldest record that is not done, or 0."""
        with self._connect(self._reading) as connection:
            found = connection.execute(_PENDING.limit(1)).first()
        return 0.0 if found is None else (self.clock.now() - found.created_at).total_seconds()

    def still_pending(self, ids: Sequence[int] | None = None) -> Sequence[int]:
        """The ids of the records that are not done: of all, or of these."""
        query = sa.select(RECORDS.c.id).where(RECORDS.c.done_at.is_(None))
        if ids is not None:
            query = query.where(RECORDS.c.id.in_(ids))
        with self._connect(self._reading) as connection:
            return connection.scalars(query.limit(_BATCH)).all()

    def due(self, older_than: timedelta, limit: int) -> list[Record]:
        """The oldest records that are not done, except those that are to be retried later."""
        if not self._any_pending.finds_any():
            return []
        now = self.clock.now()
        return self._read(_DUE, {"now": now, "before": now - older_than, "count": limit})

    def failing(self, limit: int) -> Sequence[sa.Row[Any]]:
        """The rows of the oldest records that could not be applied."""
        with self._connect(self._reading) as connection:
            return connection.execute(_PENDING.where(RECORDS.c.failures > 0).limit(limit)).all()

    def is_done(self, record_id: int) -> bool:
        """Whether a record is done, by any process."""
        query = sa.select(RECORDS.c.done_at).where(RECORDS.c.id == record_id)
        with self._connect(self._reading) as connection:
            found = connection.execute(query).first()
        return found is None or found.done_at is not None

    def mark_done(self, ids: Sequence[int]) -> None:
        """Mark records as done."""
        with self._connect(self._engine) as connection, connection.begin():
            for start in range(0, len(ids), _BATCH):
                batch = RECORDS.c.id.in_(ids[start : start + _BATCH])
                done = {"done_at": self.clock.now(), "retry_at": None}
                connection.execute(sa.update(RECORDS).where(batch).values(done))

    def mark_failed(self, reasons: Mapping[int, str]) -> None:
        """Set records aside with the reasons. They are due again after a pause that doubles."""
        with self._connect(self._engine) as connection, connection.begin():
            for record_id, reason in reasons.items():
                this = RECORDS.c.id == record_id
                failures = connection.scalar(sa.select(RECORDS.c.failures).where(this))
                pause = min(_LONGEST_BACKOFF, 2.0 ** min(failures or 0, 10))
                changes = {
                    "done_at": None,
                    "failures": RECORDS.c.failures + 1,
                    "reason": reason[:_MAX_REASON_LENGTH],
                    "retry_at": self.clock.now() + timedelta(seconds=pause),
                }
                connection.execute(sa.update(RECORDS).where(this).values(changes))

    def delete_done(self, older_than: timedelta) -> None:
        """Delete the records that were done before."""
        before = self.clock.now() - older_than
        with self._connect(self._engine) as connection, connection.begin():
            connection.execute(sa.delete(RECORDS).where(RECORDS.c.done_at < before))

    def close(self) -> None:
        """Close every connection. One that is in use is closed when its query ends."""
        self._is_closed = True
        self._engine.dispose()

    @contextmanager
    def _connect(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        with engine.connect() as connection:
            try:
                yield connection
            finally:
                if self._is_closed:
                    connection.invalidate()

    def _read(self, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> list[Record]:
        with self._connect(self._reading) as connection:
            return [Record.of(row) for row in connection.execute(query, values)]
