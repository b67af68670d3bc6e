"""The tables of the tasks database."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.db import Base, CachedRow, UtcDateTime, add_audit_table
from common.pyportal_common.db.limit_overrides import add_overrides_table
from common.pyportal_common.jobs import JobRow, job_indexes
from common.pyportal_common.jobs.heartbeats import add_workers_table
from common.pyportal_common.jobs.outbox import OutboxMessage, outbox_indexes
from common.pyportal_common.jobs.ticks import add_schedule_tables

add_audit_table(Base.metadata)
add_workers_table(Base.metadata)
add_overrides_table(Base.metadata)
add_schedule_tables(Base.metadata)

_Id = BigInteger().with_variant(Integer, "sqlite")


class Task(JobRow, Base):
    """A task of a user. `parameters` is its input, `details` its result."""

    __tablename__ = "tasks"
    __table_args__ = (
        # For the newest tasks of a user, all or by status and type; and for those of a day.
        Index("ix_tasks_user_id_id", "user_id", "id"),
        Index("ix_tasks_user_id_status_id", "user_id", "status", "id"),
        Index("ix_tasks_user_id_task_type_id", "user_id", "task_type", "id"),
        Index("ix_tasks_user_id_task_type_status_id", "user_id", "task_type", "status", "id"),
        Index("ix_tasks_user_id_created_at", "user_id", "created_at"),
        *job_indexes("tasks"),
        {"sqlite_autoincrement": True},  # ids are never reused
    )

    reference: Mapped[str] = mapped_column(String(20), unique=True)
    user_id: Mapped[int] = mapped_column(BigInteger, active_history=True)
    task_type: Mapped[str] = mapped_column(String(50))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)

    def forget_attempts(self) -> None:
        """Reset what earlier attempts have left in the row, its result among it."""
        super().forget_attempts()
        self.details = {}

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of the task and of its user's newest tasks."""
        return (keys.booking(row["id"]), keys.user_bookings(row["user_id"]))


class Flight(CachedRow, Base):
    """A flight, and the seats left on it."""

    __tablename__ = "flights"
    __table_args__ = (
        UniqueConstraint("flight_number", "departs_at"),
        # For the lists by any of the three, in the order of ids.
        *(
            Index("_".join(("ix_flights", *columns, "id")), *columns, "id")
            for columns in (
                ("origin",),
                ("destination",),
                ("origin", "destination"),
                ("departs_on",),
                ("origin", "departs_on"),
                ("destination", "departs_on"),
                ("origin", "destination", "departs_on"),
            )
        ),
        CheckConstraint("available_seats BETWEEN 0 AND total_seats", name="available_seats"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    flight_number: Mapped[str] = mapped_column(String(6))
    origin: Mapped[str] = mapped_column(String(3))
    destination: Mapped[str] = mapped_column(String(3))
    departs_at: Mapped[datetime] = mapped_column(UtcDateTime)
    departs_on: Mapped[date | None] = mapped_column(Date)  # the day of it, in UTC
    total_seats: Mapped[int] = mapped_column(Integer)
    available_seats: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The key of its availability."""
        return (keys.flight_availability(row["id"]),)


def _index_of_bookings(status: str, where: str) -> Index:
    condition = text(where)
    return Index(
        f"ix_bookings_{status}",
        "user_id",
        "task_id",
        sqlite_where=condition,
        postgresql_where=condition,
    )


class Booking(Base):
    """Sold seats, under the id of the task that bought them."""

    __tablename__ = "bookings"
    __table_args__ = (
        # For the newest bookings of a user, all or by status.
        Index("ix_bookings_user_id_task_id", "user_id", "task_id"),
        _index_of_bookings("confirmed", "cancelled_at IS NULL"),
        _index_of_bookings("cancelled", "cancelled_at IS NOT NULL"),
    )

    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    flight_id: Mapped[int] = mapped_column(ForeignKey("flights.id"), index=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    seats: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Message(OutboxMessage, Base):
    """A message in the outbox. `user_id` is the user it is meant for."""

    __tablename__ = "events"
    __table_args__ = (*outbox_indexes("events"), {"sqlite_autoincrement": True})

    user_id: Mapped[int | None] = mapped_column(BigInteger, index=True)


class FilePart(Base):
    """A part of an export's file. In SQL, so that a completed task always has its file."""

    __tablename__ = "file_parts"

    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
