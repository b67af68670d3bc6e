"""The columns that all tables of jobs have."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from sqlalchemy import BigInteger, Index, Integer, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import CachedRow, UtcDateTime

Priority = Literal["high", "normal", "low"]
# There is a queue for each, and workers empty the first one first.
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")


@dataclass(frozen=True, slots=True)
class States:
    """The names that a kind of job has for its states."""

    waiting: str = "pending"
    running: str = "processing"
    done: str = "completed"
    failed: str = "failed"
    cancelled: str = "cancelled"


class JobRow(CachedRow):
    """Mixin for a model whose rows are jobs. Only `Jobs` changes these columns.

    The table needs `job_indexes`. A waiting row is due at `due_at`, and is sent to workers at
    `send_at`, repeatedly. A running row has its worker's token, until `lease_until`. The token and
    the three times are null when the job has ended.
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
        """Whether the job is done, failed or cancelled."""
        return self.status not in (self.STATES.waiting, self.STATES.running)

    def schedule(self, due_at: datetime, send_at: datetime) -> None:
        """Change to waiting, for a worker to claim the job at `due_at` or later."""
        self._move(self.STATES.waiting)
        self.due_at, self.send_at = due_at, send_at

    def mark_running(self, token: str, lease_until: datetime) -> None:
        """Change to running under a worker's token, and count the attempt."""
        self._move(self.STATES.running)
        self.attempts += 1
        self.lease_token, self.lease_until = token, lease_until
        self.started_at = self.updated_at

    def mark_ended(self, status: str, error: str | None = None) -> None:
        """Change to a final state. `error` is shown to users."""
        self._move(status)
        self.error = error
        self.finished_at = self.updated_at

    def _move(self, status: str) -> None:
        self.status = status
        self.due_at = self.send_at = self.lease_token = self.lease_until = None
        self.updated_at = datetime.now(UTC)


def job_indexes(table: str) -> tuple[Index, ...]:
    """Indexes for `__table_args__`: of the rows to send, of the rows with a lease, of waiting rows.

    Rows that have ended are not in them. The sweeper reads each priority separately, so that it
    finds the few rows of one without scanning the backlog of another.
    """
    return tuple(
        Index(
            "_".join(("ix", table, *columns)),
            *columns,
            sqlite_where=text(f"{columns[-1]} IS NOT NULL"),
            postgresql_where=text(f"{columns[-1]} IS NOT NULL"),
        )
        for columns in (("priority", "send_at"), ("lease_until",), ("due_at",))
    )
