"""The tables of the notifications database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
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
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.db import Base, UtcDateTime, add_audit_table
from common.pyportal_common.db.limit_overrides import add_overrides_table
from common.pyportal_common.jobs import JobRow, States, job_indexes
from common.pyportal_common.jobs.heartbeats import add_workers_table
from common.pyportal_common.jobs.ticks import add_schedule_tables

add_audit_table(Base.metadata)
add_workers_table(Base.metadata)
add_overrides_table(Base.metadata)
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
        Index(
            "ix_notifications_unread",
            "user_id",
            "id",
            sqlite_where=text("read_at IS NULL"),
            postgresql_where=text("read_at IS NULL"),
        ),
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
    # What the inbox shows.
    title: Mapped[str | None] = mapped_column(String(300))
    text: Mapped[str | None] = mapped_column(String(200))
    link: Mapped[str | None] = mapped_column(String(100))
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
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
        self.title = self.text = self.link = None
        self.data = {}

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of the notification, its status, and the user's newest notifications."""
        yield keys.notification(row["id"])
        yield keys.notification_status(row["id"])
        if row["user_id"] is not None:
            yield keys.user_notifications(row["user_id"])


class AttemptColumns:
    """Mixin for delivery attempts. One has no outcome while it runs, and if its worker died."""

    token: Mapped[str] = mapped_column(String(32), primary_key=True)  # of its claim
    number: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(20))
    answer: Mapped[str | None] = mapped_column(Text)  # of the mail server or the webhook
    reason: Mapped[str | None] = mapped_column(Text)  # why it failed, for people


class Attempt(AttemptColumns, Base):
    """An attempt to deliver a notification."""

    __tablename__ = "attempts"

    notification_id: Mapped[int] = mapped_column(
        ForeignKey("notifications.id"), primary_key=True, sort_order=-1
    )


class Webhook(Base):
    """A URL that a user registered, and the secret that signs its messages.

    `event_types` are those that it receives; null means all. `sequence` is the number of its last
    event. Since `failing_since` all attempts to deliver events have failed.
    """

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("user_id", "url"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    url: Mapped[str] = mapped_column(String(2000))
    event_types: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    secret: Mapped[str] = mapped_column(String(100))
    previous_secret: Mapped[str | None] = mapped_column(String(100))
    previous_secret_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_reason: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def enabled(self) -> bool:
        """Whether events are sent to it."""
        return self.disabled_at is None

    def receives(self, event_type: str) -> bool:
        """Whether it subscribes to a type of event."""
        return self.event_types is None or event_type in self.event_types

    def secrets(self, now: datetime) -> list[str]:
        """The secrets that sign its messages, the current one first."""
        until = self.previous_secret_until
        if self.previous_secret is None or until is None or until <= now:
            return [self.secret]
        return [self.secret, self.previous_secret]

    def disable(self, reason: str) -> None:
        """Send no more events to it, for this reason."""
        self.disabled_at, self.disabled_reason = datetime.now(UTC), reason

    def enable(self) -> None:
        """Send events to it again."""
        self.disabled_at = self.disabled_reason = self.failing_since = None


class Event(Base):
    """Something that happened to a user, for the webhooks that subscribe to its type."""

    __tablename__ = "webhook_events"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)  # its `webhook-id`
    type: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int] = mapped_column(BigInteger, index=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    traceparent: Mapped[str | None] = mapped_column(String(55))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class EventDelivery(JobRow, Base):
    """The delivery of an event to a webhook, which is a job.

    `sequence` numbers the events of a webhook, from 1 and without gaps. The webhook may be deleted.
    """

    STATES: ClassVar[States] = Notification.STATES

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "sequence"),
        UniqueConstraint("event_id", "webhook_id"),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index("ix_webhook_deliveries_webhook_id_status_id", "webhook_id", "status", "id"),
        Index("ix_webhook_deliveries_webhook_id_event_type_id", "webhook_id", "event_type", "id"),
        Index(
            "ix_webhook_deliveries_webhook_id_event_type_status_id",
            "webhook_id",
            "event_type",
            "status",
            "id",
        ),
        *job_indexes("webhook_deliveries"),
        {"sqlite_autoincrement": True},
    )

    webhook_id: Mapped[int] = mapped_column(BigInteger)
    sequence: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[str] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(50))

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:  # noqa: ARG003
        """None: deliveries of events are not cached."""
        return ()


class EventAttempt(AttemptColumns, Base):
    """An attempt to deliver an event to a webhook."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True, sort_order=-1
    )


class Preference(Base):
    """A channel on which a user is not notified of a category. Without a row, the user is."""

    __tablename__ = "preferences"

    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    category: Mapped[str] = mapped_column(String(20), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)


class SigningKey(Base):
    """A random key that all processes share, in hex."""

    __tablename__ = "signing_keys"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
