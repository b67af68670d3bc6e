"""What a table of jobs has, whatever they are."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from sqlalchemy import BigInteger, Index, Integer, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ..db.cached_rows import CachedRow
from ..db.types import UtcDateTime

Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")  # each has a queue; first come first


@dataclass(frozen=True, slots=True)
class States:
    """What a kind of job calls the states of its rows."""

    waiting: str = "pending"
    running: str = "processing"
    done: str = "completed"
    failed: str = "failed"
    cancelled: str = "cancelled"


class JobRow(CachedRow):
    """Mixed into a model whose rows are jobs. `Jobs` alone changes these columns.

    The table needs `job_indexes`. When it is `waiting`, a row is due at `due_at`, and sent to
    workers at `send_at`, again and again. While it is `running`, the token is its worker's, until
    `lease_until`. All three are null when it has ended.
    """

    STATES: ClassVar[States] = States()

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    status: Mapped[str] = mapped_column(String(20))
    priority: Mapped[str] = mapped_column(String(10))
    progress: Mapped[int] = mapped_column(SmallInteger, default=0)  # percent
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    send_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status not in (self.STATES.waiting, self.STATES.running)

    def schedule(self, due_at: datetime, send_at: datetime) -> None:
        """Let it wait, for a worker or for its time."""
        self._move(self.STATES.waiting)
        self.due_at, self.send_at = due_at, send_at

    def mark_running(self, token: str, lease_until: datetime) -> None:
        """Let whoever has the token run it: one attempt more."""
        self._move(self.STATES.running)
        self.attempts += 1
        self.lease_token, self.lease_until = token, lease_until
        self.started_at = self.updated_at

    def mark_ended(self, status: str, error: str | None = None) -> None:
        """Let it end so. `error` is for people."""
        self._move(status)
        self.error = error
        self.finished_at = self.updated_at

    def _move(self, status: str) -> None:
        self.status = status
        self.due_at = self.send_at = self.lease_token = self.lease_until = None
        self.updated_at = datetime.now(UTC)


def job_indexes(table: str) -> tuple[Index, ...]:
    """For `__table_args__`: what finds the rows that are to be sent, and those that are lost.

    Of rows that have ended they hold nothing. The sweeper looks for each priority by itself: while
    one has a backlog, the others' few rows must not be looked for in all of it.
    """
    return tuple(
        Index(
            "_".join(("ix", table, *columns)),
            *columns,
            sqlite_where=text(f"{columns[-1]} IS NOT NULL"),
            postgresql_where=text(f"{columns[-1]} IS NOT NULL"),
        )
        for columns in (("priority", "send_at"), ("lease_until",))
    )
