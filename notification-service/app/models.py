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

_Id = BigInteger().with_variant(Integer, "sqlite")


class Notification(JobRow, Base):
    """Something that somebody is to be told, and how far that has come.

    `source` is the service that wants it, or the user: "user=7". Its text is that of a template
    with `data`, or `subject` and `message`.
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

    # Of the mail, or the webhook: every attempt carries the same.
    message_id: Mapped[str] = mapped_column(String(40), unique=True)
    source: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int | None] = mapped_column(BigInteger, active_history=True)
    channel: Mapped[str] = mapped_column(String(10))
    recipient: Mapped[str | None] = mapped_column(
        Text
    )  # null: the user's address, once it is known
    template: Mapped[str | None] = mapped_column(String(50))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    subject: Mapped[str | None] = mapped_column(String(200))
    message: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(64))

    @property
    def is_of_user(self) -> bool:
        """Whether a user wants it, and no service."""
        return self.source.startswith("user=")

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The notification, its status, and the newest ones of its user."""
        found = [keys.notification(row["id"]), keys.notification_status(row["id"])]
        if row["user_id"] is not None:
            found.append(keys.user_notifications(row["user_id"]))
        return found


class Attempt(Base):
    """One attempt at a delivery. It has no outcome while it lasts, nor if its worker died."""

    __tablename__ = "attempts"

    notification_id: Mapped[int] = mapped_column(ForeignKey("notifications.id"), primary_key=True)
    token: Mapped[str] = mapped_column(String(32), primary_key=True)  # of the claim it ran under
    number: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(20))
    answer: Mapped[str | None] = mapped_column(Text)  # of the other side
    reason: Mapped[str | None] = mapped_column(Text)  # why it did not work, for people


class Webhook(Base):
    """An address that a user registered, and the secret that signs what is sent there."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("user_id", "url"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    url: Mapped[str] = mapped_column(String(2000))
    secret: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
