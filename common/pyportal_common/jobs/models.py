"""The columns that all tables of jobs have."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from sqlalchemy import BigInteger, Index, Integer, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import CachedRow, UtcDateTime
from ..spans import traceparent

Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
MAX_COUNTED = 10_000
"""Of each kind and state: counting more would take too long."""


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

    The table needs `job_indexes`. A waiting row is due at `due_at`. From then on it has a `turn`,
    and workers claim the lowest first: see turns.py. A running row has its worker's token, until
    `lease_until`. All of these are null when the job has ended. `traceparent` is
    of the span that made the job due: see spans.
    """

    STATES: ClassVar[States] = States()

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    status: Mapped[str] = mapped_column(String(20))
    priority: Mapped[str] = mapped_column(String(10))
    progress: Mapped[int] = mapped_column(SmallInteger, default=0)  # percent
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    turn: Mapped[int | None] = mapped_column(BigInteger)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    traceparent: Mapped[str | None] = mapped_column(String(55))
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def has_ended(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self.status not in (self.STATES.waiting, self.STATES.running)

    def apply(self, changes: dict[str, Any]) -> None:
        """Set the columns of a row that the caller has locked."""
        for name, value in changes.items():
            setattr(self, name, value)

    def forget_attempts(self) -> None:
        """Reset what earlier attempts have left in the row, before it is run again.

        The next attempt is in the trace of the request that asks for it.
        """
        self.attempts = self.progress = 0
        self.traceparent = traceparent()
        self.error = self.started_at = self.finished_at = self.cancel_requested_at = None

    @classmethod
    def waiting(
        cls, now: datetime, *, due_at: datetime | None = None, turn: Any = None
    ) -> dict[str, Any]:
        """The columns of a waiting job, which is due now unless a time is given.

        `now` is here and below the time by the clock of the database.
        """
        return {**_moved(cls.STATES.waiting, now), "due_at": due_at or now, "turn": turn}

    @classmethod
    def running(cls, now: datetime, token: str, lease: timedelta) -> dict[str, Any]:
        """The columns of a job that runs under a worker's token, except `attempts`."""
        return {
            **_moved(cls.STATES.running, now),
            "lease_token": token,
            "lease_until": now + lease,
            "started_at": now,
        }

    @classmethod
    def ended(cls, now: datetime, status: str, error: str | None = None) -> dict[str, Any]:
        """The columns of a job in a final state. `error` is shown to users."""
        return {**_moved(status, now), "error": error, "finished_at": now}


def _moved(status: str, now: datetime) -> dict[str, Any]:
    return {
        "status": status,
        "due_at": None,
        "turn": None,
        "lease_token": None,
        "lease_until": None,
        "updated_at": now,
    }


def job_indexes(table: str) -> tuple[Index, ...]:
    """Indexes for `__table_args__`: for claims, for leases that have ended, and for delayed jobs.

    Rows that have ended are not in these. And one for lists of the jobs in a state.
    """
    by_status = Index(f"ix_{table}_status_id", "status", "id")
    return by_status, *(
        Index(
            "_".join(("ix", table, *columns)),
            *columns,
            sqlite_where=text(f"{columns[-1]} IS NOT NULL"),
            postgresql_where=text(f"{columns[-1]} IS NOT NULL"),
        )
        for columns in (("turn", "due_at"), ("lease_until",), ("due_at",))
    )
