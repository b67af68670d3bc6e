"""Notifications: creating, showing, retrying, anonymising and deleting them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.cache_handlers import Cache, JsonValue, Policy, keys
from common.pyportal_common.db import (
    NO_KEY,
    Database,
    IdempotencyKey,
    Transaction,
    forget_user,
    violated_columns,
)
from common.pyportal_common.db.batches import delete_created_before
from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.jobs import Jobs
from common.pyportal_common.web import PageQuery, View

from ..deliveries import texts
from ..deliveries.schemas import AttemptView
from ..errors import IdempotencyKeyReused, NotificationNotFound
from ..events.catalogue import reported_by
from ..events.service import Events
from ..models import Attempt, Notification
from .recipients import Principal, Recipients
from .schemas import (
    CACHED_NOTIFICATION,
    CACHED_STATUS,
    AttemptList,
    NewNotification,
    NotificationView,
    StatusView,
)

# An hour in total. In the last five minutes the value is stale: one reader refreshes it.
_CACHING = Policy(ttl=3300, stale_for=300, shape=CACHED_NOTIFICATION.document)
_STATUS_CACHING = replace(_CACHING, shape=CACHED_STATUS.document)
_BATCH_SIZE = 500  # rows of one transaction


class Notifications:
    """The notifications of all users and services.

    They are deleted `kept_for` after their end. `forget_more` delete what else there is about a
    user.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs[Notification],
        cache: Cache,
        recipients: Recipients,
        events: Events,
        *,
        kept_for: timedelta,
        forget_more: Sequence[Callable[[int], None]],
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._cache = cache
        self._recipients = recipients
        self._events = events
        self._kept_for = kept_for
        self._forget_more = forget_more

    def create(
        self,
        new: NewNotification,
        principal: Principal,
        *,
        event_key: str | None = None,
        key: IdempotencyKey = NO_KEY,
    ) -> NotificationView:
        """Store a notification, and queue its delivery.

        Returns the earlier notification for the `event_key` of a service. Raises
        RecipientNotAllowed, UnusableData, IdempotencyKeyReused and UsersUnreachable.
        """
        notification = self.prepare(new, principal, event_key=event_key)
        try:
            with self._database.begin() as tx, key.claim(tx) as keep:
                self.put_all(tx, [notification])
                keep(NotificationView.model_validate(notification))
        except IntegrityError as error:
            if not violated_columns(error, ["idempotency_key"]):
                raise
            return self._find_earlier(notification)
        self.wake_workers()
        return NotificationView.model_validate(notification)

    def prepare(
        self, new: NewNotification, principal: Principal, *, event_key: str | None
    ) -> Notification:
        """The row of a new notification.

        Raises RecipientNotAllowed, UnusableData and UsersUnreachable.
        """
        new = self._recipients.resolve(new, principal)
        row = _row(new, principal, event_key)
        row.title, row.text = new.subject, texts.shortened(new.message or "")
        if new.template is not None:
            found = texts.render(new.template, new.data or {})
            row.title, row.text = found.subject, found.short
        row.link = _link(new.data or {})
        return row

    def put_all(self, tx: Transaction, new: Sequence[Notification]) -> None:
        """Queue new notifications, and publish the events that they report."""
        for notification in new:
            self._jobs.put(tx, notification)
        tx.flush()  # for the ids
        self._events.add(tx, chain.from_iterable(map(reported_by, new)))

    def wake_workers(self) -> None:
        """Wake an idle worker after a commit. Without Redis it finds the notification itself."""
        self._jobs.wake_workers()

    def find(self, notification_id: int, principal: Principal) -> JsonValue:
        """The notification as the API shows it, cached. Raises NotificationNotFound."""
        key = keys.notification(notification_id)
        return _visible(self._cached(key, notification_id, NotificationView, _CACHING), principal)

    def status_of(self, notification_id: int, principal: Principal) -> JsonValue:
        """The delivery status, cached. Raises NotificationNotFound."""
        return _visible(self.cache_status(notification_id), principal)

    def cache_status(self, notification_id: int) -> JsonValue:
        """The delivery status, or null, which is loaded and cached unless it is cached already.

        Workers call this after a commit that changed it, which invalidated it.
        """
        key = keys.notification_status(notification_id)
        return self._cached(key, notification_id, StatusView, _STATUS_CACHING)

    def attempts_of(
        self, notification_id: int, search: PageQuery, principal: Principal
    ) -> AttemptList:
        """A page of delivery attempts, the oldest first. Raises NotificationNotFound.

        They have no id, and none is deleted alone: the cursor is the number of those before.
        """
        before = int(search.cursor or 0)
        with self._database.read() as tx:
            found = tx.get(Notification, notification_id)
            if found is None or not principal.may_see(found.user_id):
                raise NotificationNotFound
            rows = tx.scalars(
                select(Attempt)
                .where(Attempt.notification_id == notification_id)
                .order_by(Attempt.started_at, Attempt.token)
                .offset(before)
                .limit(search.limit + 1)
            ).all()
        shown = [AttemptView.model_validate(row) for row in rows[: search.limit]]
        following = str(before + len(shown)) if len(rows) > len(shown) else None
        return AttemptList(items=shown, next=following)

    def cache_kinds(self) -> Sequence[CacheKind]:
        """The kinds of values that are cached, and how they follow from SQL."""
        load, load_status = (partial(self._load, view) for view in (NotificationView, StatusView))
        return [
            CacheKind(keys.notification, load, _CACHING),
            CacheKind(keys.notification_status, load_status, _STATUS_CACHING),
        ]

    def retry(self, notification_id: int, principal: Principal) -> NotificationView:
        """Queue a failed or suppressed notification again.

        Raises NotificationNotFound and JobNotEnded.
        """
        with self._database.begin() as tx:
            found = tx.get(Notification, notification_id, with_for_update=True)
            if found is None or not principal.may_see(found.user_id):
                raise NotificationNotFound
            self._jobs.retry(found)
        self.wake_workers()
        return NotificationView.model_validate(found)

    def anonymise(self, user_id: int) -> None:
        """Remove all data of a user, and suppress what is not sent."""
        while self._anonymise_batch(user_id):
            pass
        for forget in self._forget_more:
            forget(user_id)
        with self._database.begin() as tx:
            forget_user(tx, user_id)

    def delete_old(self) -> None:
        """Delete the notifications that have been kept long enough, with their attempts."""
        oldest = self._database.now() - self._kept_for
        delete_created_before(
            self._database,
            Notification,
            oldest,
            Notification.finished_at < oldest,
            referring=[Attempt.notification_id],
        )

    def _cached(
        self, key: str, notification_id: int, view: type[View], policy: Policy
    ) -> JsonValue:
        return self._cache.find(key, partial(self._load, view, notification_id), policy)

    def _load(self, view: type[View], notification_id: int) -> dict[str, Any] | None:
        with self._database.read() as tx:
            row = tx.get(Notification, notification_id)
        return None if row is None else view.model_validate(row).model_dump(mode="json")

    def _anonymise_batch(self, user_id: int) -> int:
        """Anonymise some notifications, and return how many."""
        with self._database.begin() as tx:
            found = tx.scalars(
                select(Notification)
                .where(Notification.user_id == user_id)
                .limit(_BATCH_SIZE)
                .with_for_update()
            ).all()
            for notification in found:
                notification.anonymise()
                if not notification.has_ended:
                    self._jobs.cancel(notification)
            tx.execute(
                update(Attempt)
                .where(Attempt.notification_id.in_([one.id for one in found]))
                .values(answer=None, reason=None)
            )
        return len(found)

    def _find_earlier(self, new: Notification) -> NotificationView:
        """The notification with the same key. Raises IdempotencyKeyReused for a different one."""
        with self._database.read() as tx:
            found = tx.scalars(
                select(Notification).where(
                    Notification.source == new.source,
                    Notification.idempotency_key == new.idempotency_key,
                )
            ).one()
        if not is_same_request(found, new):
            raise IdempotencyKeyReused
        return NotificationView.model_validate(found)


def is_same_request(earlier: Notification, new: Notification) -> bool:
    """Whether two notifications with one key are the same, as far as that is still known."""
    # The data is not compared: a sent notification has none.
    compared = ("channel", "template", "subject")
    return all(getattr(earlier, name) == getattr(new, name) for name in compared)


def _visible(found: JsonValue, principal: Principal) -> JsonValue:
    """What was found, if the caller may see it. Raises NotificationNotFound."""
    if found.value is None or not principal.may_see(found.value["userId"]):
        raise NotificationNotFound
    return found


def _row(new: NewNotification, principal: Principal, event_key: str | None) -> Notification:
    return Notification(
        message_id=uuid4().hex,
        source=principal.name,
        user_id=new.user_id,
        channel=new.channel,
        recipient=new.recipient,
        template=new.template,
        data=new.data or {},
        subject=new.subject,
        message=new.message,
        priority="normal",
        idempotency_key=event_key,
    )


def _link(data: dict[str, Any]) -> str | None:
    """The path of the task that the data is about."""
    task_id = data.get("taskId")
    return f"/api/v1/airliner/tasks/{task_id}" if task_id else None
