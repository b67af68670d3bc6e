"""Notifications: what somebody is to be told, and how far that has come. No HTTP here."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from jinja2 import UndefinedError
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, Transaction, violated_columns

from . import texts
from .errors import IdempotencyKeyReused, NotificationNotFound, RecipientNotAllowed, UnusableData
from .models import Attempt, Notification, Webhook
from .redis_helper import NotificationRedisHelper
from .schemas import (
    AttemptView,
    NewNotification,
    NotificationSearch,
    NotificationView,
    StatusView,
)
from .services import Services

PAGE = 50  # notifications
_KEY_LIVES = timedelta(hours=24)  # of users; those of services' events are never used again
_AT_ONCE = 500  # rows of one transaction


@dataclass(frozen=True)
class Principal:
    """Who asks: a user, or another service, which may see and do everything."""

    user_id: int | None
    service: str | None

    @property
    def name(self) -> str:
        """As `source` keeps it."""
        return self.service or f"user={self.user_id}"

    def may_see(self, user_id: int | None) -> bool:
        """Whether something of that user is theirs to see."""
        return self.service is not None or user_id == self.user_id


def create(
    new: NewNotification, *, asker: Principal, idempotency_key: str | None, mine: Services
) -> dict[str, Any]:
    """Take a notification on, and return it as the API shows it. It is on the disk then.

    With the key of an earlier one of the same asker, that one. Raises RecipientNotAllowed,
    UnusableData, IdempotencyKeyReused and UsersUnreachable.
    """
    user_id, recipient = _addressee(new, asker, mine=mine)
    _try_out(new)
    notification = Notification(
        message_id=uuid4().hex,
        source=asker.name,
        user_id=user_id,
        channel=new.channel,
        recipient=recipient,
        template=new.template,
        data=new.data or {},
        subject=new.subject,
        message=new.message,
        priority="normal",
        progress=0,
        attempts=0,
        idempotency_key=idempotency_key,
    )
    try:
        with mine.database.begin() as tx:
            if idempotency_key is not None and asker.service is None:
                _free_old_key(tx, asker, idempotency_key)
            mine.jobs.put(tx, notification)
    except IntegrityError as error:
        if not violated_columns(error, ["idempotency_key"]):
            raise
        return _earlier(notification, database=mine.database)
    mine.send(notification)
    return _view(notification)


def find(
    notification_id: int,
    *,
    asker: Principal,
    database: Database,
    redis_helper: NotificationRedisHelper,
) -> dict[str, Any]:
    """A notification as the API shows it, by the cache if it can. Raises NotificationNotFound."""

    def load() -> dict[str, Any] | None:
        with database.read() as tx:
            found = tx.get(Notification, notification_id)
        return None if found is None else _view(found)

    found = redis_helper.get_or_load_notification(notification_id, load)
    if found is None or not asker.may_see(found["userId"]):
        raise NotificationNotFound
    return found


def status_of(
    notification_id: int,
    *,
    asker: Principal,
    database: Database,
    redis_helper: NotificationRedisHelper,
) -> dict[str, Any]:
    """How far a delivery has come, by the cache if it can. Raises NotificationNotFound."""
    status = redis_helper.get_or_load_delivery_status(
        notification_id, lambda: _load_status(notification_id, database=database)
    )
    if status is None or not asker.may_see(status["userId"]):
        raise NotificationNotFound
    return status


def show_status(
    notification_id: int, *, database: Database, redis_helper: NotificationRedisHelper
) -> None:
    """Cache how far a delivery has come, after a commit that changed that."""
    redis_helper.get_or_load_delivery_status(
        notification_id, lambda: _load_status(notification_id, database=database)
    )


def attempts_at(
    notification_id: int, *, asker: Principal, database: Database
) -> list[dict[str, Any]]:
    """All attempts at a delivery, the oldest first. Raises NotificationNotFound."""
    with database.read() as tx:
        found = tx.get(Notification, notification_id)
        if found is None or not asker.may_see(found.user_id):
            raise NotificationNotFound
        rows = tx.scalars(
            select(Attempt)
            .where(Attempt.notification_id == notification_id)
            .order_by(Attempt.started_at)
        ).all()
    return [AttemptView.model_validate(row).model_dump(mode="json") for row in rows]


def page(
    search: NotificationSearch,
    *,
    user_id: int,
    database: Database,
    redis_helper: NotificationRedisHelper,
) -> tuple[list[dict[str, Any]], int | None]:
    """The user's newest notifications, and the id that the next page is before.

    The first page of all is cached.
    """

    def load() -> list[dict[str, Any]]:
        wanted = select(Notification).where(Notification.user_id == user_id)
        if search.status is not None:
            wanted = wanted.where(Notification.status == search.status)
        if search.channel is not None:
            wanted = wanted.where(Notification.channel == search.channel)
        if search.cursor is not None:
            wanted = wanted.where(Notification.id < int(search.cursor))
        with database.read() as tx:
            rows = tx.scalars(wanted.order_by(Notification.id.desc()).limit(PAGE + 1)).all()
        return [_view(row) for row in rows]

    if not search.model_fields_set:
        found = redis_helper.get_or_load_user_notifications(user_id, load)
    else:
        found = load()
    shown = found[:PAGE]
    return shown, shown[-1]["notificationId"] if len(found) > PAGE else None


def retry(notification_id: int, *, asker: Principal, mine: Services) -> dict[str, Any]:
    """Let a delivery begin anew that failed. Raises NotificationNotFound and JobNotEnded."""
    with mine.database.begin() as tx:
        found = tx.get(Notification, notification_id, with_for_update=True)
        if found is None or not asker.may_see(found.user_id):
            raise NotificationNotFound
        mine.jobs.retry(found)
    mine.send(found)
    return _view(found)


def anonymise(user_id: int, *, mine: Services) -> None:
    """Forget to whom what was said, suppress what has not gone out, and remove the webhooks."""
    while _anonymise_some(user_id, mine=mine):
        pass
    with mine.database.begin() as tx:
        for webhook in tx.scalars(select(Webhook).where(Webhook.user_id == user_id)):
            tx.delete(webhook)


def _anonymise_some(user_id: int, *, mine: Services) -> int:
    with mine.database.begin() as tx:
        found = tx.scalars(
            select(Notification)
            .where(Notification.user_id == user_id)
            .limit(_AT_ONCE)
            .with_for_update()
        ).all()
        for notification in found:
            notification.user_id = notification.recipient = None
            notification.subject = notification.message = notification.idempotency_key = None
            notification.data = {}
            if notification.source == f"user={user_id}":
                notification.source = "user"
            if not notification.has_ended:
                mine.jobs.cancel(notification)
        tx.execute(
            update(Attempt)
            .where(Attempt.notification_id.in_([one.id for one in found]))
            .values(answer=None, reason=None)
        )
    return len(found)


def _addressee(
    new: NewNotification, asker: Principal, *, mine: Services
) -> tuple[int | None, str | None]:
    """Whose it is, and where it goes. Users write to themselves, services to anybody."""
    if asker.service is not None:
        if new.recipient is None and (new.user_id is None or new.channel == "webhook"):
            raise RecipientNotAllowed("recipient", "is needed")
        if new.channel == "webhook" and not mine.settings.webhook_secret.get_secret_value():
            _require_webhook(new, new.user_id, mine=mine)
        return new.user_id, new.recipient
    if new.user_id is not None and new.user_id != asker.user_id:
        raise RecipientNotAllowed("userId", "must be your own")
    if new.channel == "webhook":
        _require_webhook(new, asker.user_id, mine=mine)
        return asker.user_id, new.recipient
    return asker.user_id, _own_address(new, asker.user_id or 0, mine=mine)


def _own_address(new: NewNotification, user_id: int, *, mine: Services) -> str:
    user = mine.users.find(user_id)
    if user is None or not user.email_verified:
        raise RecipientNotAllowed("recipient", "must be your own address, once it is verified")
    if new.recipient is not None and new.recipient.lower() != user.email.lower():
        raise RecipientNotAllowed("recipient", "must be your own address")
    return user.email


def _require_webhook(new: NewNotification, user_id: int | None, *, mine: Services) -> None:
    with mine.database.read() as tx:
        found = tx.scalar(
            select(Webhook.id).where(Webhook.user_id == user_id, Webhook.url == new.recipient)
        )
    if found is None:
        raise RecipientNotAllowed("recipient", "must be a webhook that is registered")


def _try_out(new: NewNotification) -> None:
    if new.template is None:
        return
    try:
        texts.render(new.template, new.data or {})
    except UndefinedError as error:
        raise UnusableData(str(error)) from None


def _free_old_key(tx: Transaction, asker: Principal, idempotency_key: str) -> None:
    tx.execute(
        update(Notification)
        .where(
            Notification.source == asker.name,
            Notification.idempotency_key == idempotency_key,
            Notification.created_at < datetime.now(UTC) - _KEY_LIVES,
        )
        .values(idempotency_key=None),
        execution_options={"cache_keys": (), "synchronize_session": False},
    )


def _earlier(new: Notification, *, database: Database) -> dict[str, Any]:
    with database.read() as tx:
        found = tx.scalars(
            select(Notification).where(
                Notification.source == new.source,
                Notification.idempotency_key == new.idempotency_key,
            )
        ).one()
    # Not by all they say: what has been sent keeps no data.
    if (found.channel, found.template, found.subject) != (new.channel, new.template, new.subject):
        raise IdempotencyKeyReused
    return _view(found)


def _load_status(notification_id: int, *, database: Database) -> dict[str, Any] | None:
    with database.read() as tx:
        found = tx.get(Notification, notification_id)
    return None if found is None else StatusView.model_validate(found).model_dump(mode="json")


def _view(notification: Notification) -> dict[str, Any]:
    return NotificationView.model_validate(notification).model_dump(mode="json")
