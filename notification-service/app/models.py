"""The tables of the notifications database."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.db import Base, UtcDateTime
from common.pyportal_common.jobs import JobRow, States, job_indexes
from common.pyportal_common.jobs.heartbeats import add_workers_table
from common.pyportal_common.jobs.ticks import add_schedule_tables

add_workers_table(Base.metadata)
add_schedule_tables(Base.metadata)

_Id = BigInteger().with_variant(Integer, "sqlite")


class Notification(JobRow, Base):
    """A notification and its delivery, which is a job.

    `source` is the service that created it, or the user: "user=7". The text is a template with its
    `data`, or `subject` and `message`.
    """

    STATES: ClassVar[States] = States("queued", "sending", "sent", "failed", "suppressed")

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_user_id_id", "user_id", "id"),
        Index("ix_notifications_user_id_status_id", "user_id", "status", "id"),
        UniqueConstraint("source", "idempotency_key"),
        *job_indexes("notifications"),
        {"sqlite_autoincrement": True},
    )

    # The id of the e-mail or the webhook message, the same in every attempt.
    # It identifies new rows, so that SQLAlchemy inserts many in one statement.
    message_id: Mapped[str] = mapped_column(String(40), unique=True, insert_sentinel=True)
    source: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int | None] = mapped_column(BigInteger, active_history=True)
    channel: Mapped[str] = mapped_column(String(10))
    recipient: Mapped[str | None] = mapped_column(Text)  # null until sent: the user's address
    template: Mapped[str | None] = mapped_column(String(50))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    subject: Mapped[str | None] = mapped_column(String(200))
    message: Mapped[str | None] = mapped_column(Text)
    # A service's key: as long as the row. Those of users are in `idempotency_keys`.
    idempotency_key: Mapped[str | None] = mapped_column(String(64))

    @property
    def is_of_user(self) -> bool:
        """Whether a user created it, not a service."""
        return self.source.startswith("user=")

    def anonymise(self) -> None:
        """Remove the user, the recipient and the text."""
        if self.source == f"user={self.user_id}":
            self.source = "user"
        self.user_id = self.recipient = None
        self.subject = self.message = self.idempotency_key = None
        self.data = {}

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of the notification, its status, and the user's newest notifications."""
        yield keys.notification(row["id"])
        yield keys.notification_status(row["id"])
        if row["user_id"] is not None:
            yield keys.user_notifications(row["user_id"])


class Attempt(Base):
    """A delivery attempt. It has no outcome while it runs, and if its worker died."""

    __tablename__ = "attempts"

    notification_id: Mapped[int] = mapped_column(ForeignKey("notifications.id"), primary_key=True)
    token: Mapped[str] = mapped_column(String(32), primary_key=True)  # of its claim
    number: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(20))
    answer: Mapped[str | None] = mapped_column(Text)  # of the mail server or the webhook
    reason: Mapped[str | None] = mapped_column(Text)  # why it failed, for people


class Webhook(Base):
    """A URL that a user registered, and the secret that signs its messages."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("user_id", "url"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    url: Mapped[str] = mapped_column(String(2000))
    secret: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
