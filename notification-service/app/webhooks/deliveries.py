"""The deliveries of events, as the owners of webhooks see and retry them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import CursorResult, select, update

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Jobs
from common.pyportal_common.spans import traceparent

from ..errors import DeliveryNotEnded, DeliveryNotFound, WebhookDisabled, WebhookNotFound
from ..events.catalogue import TEST, new_event
from ..events.service import Events
from ..models import EventAttempt, EventDelivery, Webhook
from .schemas import DeliveryList, DeliverySearch, DeliveryView
from .service import Webhooks

_MOST_RECOVERED = 10_000  # by one statement
_UNDELIVERED = (EventDelivery.STATES.failed, EventDelivery.STATES.cancelled)


class EventDeliveries:
    """The deliveries of all webhooks. They raise WebhookNotFound for a webhook of another user."""

    def __init__(
        self,
        database: Database,
        jobs: Jobs[EventDelivery],
        events: Events,
        webhooks: Webhooks,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._events = events
        self._webhooks = webhooks

    def send_test(self, webhook_id: int, user_id: int) -> DeliveryView:
        """Send a test event to a webhook, also to a disabled one."""
        with self._webhooks.locked(webhook_id, user_id) as (tx, webhook):
            event = new_event(uuid4().hex, TEST, user_id, {"webhookId": webhook_id})
            delivery = self._events.send_test(tx, webhook, event)
        self._jobs.wake_workers()
        return _view(delivery, [])

    def page(self, webhook_id: int, search: DeliverySearch, user_id: int) -> DeliveryList:
        """A page of deliveries with their attempts, the newest first."""
        query = select(EventDelivery).where(EventDelivery.webhook_id == webhook_id)
        if search.status is not None:
            query = query.where(EventDelivery.status == search.status)
        if search.event_type is not None:
            query = query.where(EventDelivery.event_type == search.event_type)
        if search.cursor is not None:
            query = query.where(EventDelivery.id < int(search.cursor))
        with self._database.read() as tx:
            _check_owner(tx, webhook_id, user_id)
            found = tx.scalars(
                query.order_by(EventDelivery.id.desc()).limit(search.limit + 1)
            ).all()
            shown = found[: search.limit]
            views = _with_attempts(tx, shown)
        following = str(shown[-1].id) if len(found) > len(shown) else None
        return DeliveryList(items=views, next=following)

    def find(self, webhook_id: int, delivery_id: int, user_id: int) -> DeliveryView:
        """A delivery with its attempts. Raises DeliveryNotFound."""
        with self._database.read() as tx:
            _check_owner(tx, webhook_id, user_id)
            delivery = tx.get(EventDelivery, delivery_id)
            if delivery is None or delivery.webhook_id != webhook_id:
                raise DeliveryNotFound
            return _with_attempts(tx, [delivery])[0]

    def retry(self, webhook_id: int, delivery_id: int, user_id: int) -> DeliveryView:
        """Queue a failed or suppressed delivery again.

        Raises DeliveryNotFound, DeliveryNotEnded and WebhookDisabled.
        """
        with self._database.begin(changes_cached=False) as tx:
            _check_enabled(tx, webhook_id, user_id)
            delivery = tx.get(EventDelivery, delivery_id, with_for_update=True)
            if delivery is None or delivery.webhook_id != webhook_id:
                raise DeliveryNotFound
            if delivery.status not in _UNDELIVERED:
                raise DeliveryNotEnded
            self._jobs.retry(delivery)
        self._jobs.wake_workers()
        return self.find(webhook_id, delivery_id, user_id)

    def recover(self, webhook_id: int, since: datetime | None, user_id: int) -> int:
        """Queue all failed and suppressed deliveries again, or those since a time; oldest first.

        One statement, for at most 10,000. Returns how many there were. Raises WebhookDisabled.
        """
        oldest = (
            select(EventDelivery.id)
            .where(
                EventDelivery.webhook_id == webhook_id,
                EventDelivery.status.in_(_UNDELIVERED),
                *(() if since is None else (EventDelivery.created_at >= since,)),
            )
            .order_by(EventDelivery.id)
            .limit(_MOST_RECOVERED)
        )
        again = EventDelivery.waiting(self._database.now()) | {
            "attempts": 0,
            "traceparent": traceparent(),
            "error": None,
            "started_at": None,
            "finished_at": None,
            "cancel_requested_at": None,
        }
        statement = update(EventDelivery).where(EventDelivery.id.in_(oldest)).values(again)
        options = {"cache_keys": (), "synchronize_session": False}
        with self._database.begin(changes_cached=False) as tx:
            _check_enabled(tx, webhook_id, user_id)
            result = tx.execute(statement, execution_options=options)
            retried = result.rowcount if isinstance(result, CursorResult) else 0
        self._jobs.wake_workers()
        return retried


def _check_owner(tx: Transaction, webhook_id: int, user_id: int) -> Webhook:
    webhook = tx.get(Webhook, webhook_id)
    if webhook is None or webhook.user_id != user_id:
        raise WebhookNotFound
    return webhook


def _check_enabled(tx: Transaction, webhook_id: int, user_id: int) -> None:
    if not _check_owner(tx, webhook_id, user_id).enabled:
        raise WebhookDisabled


def _with_attempts(tx: Transaction, deliveries: Sequence[EventDelivery]) -> list[DeliveryView]:
    attempts: dict[int, list[EventAttempt]] = defaultdict(list)
    ids = [delivery.id for delivery in deliveries]
    for attempt in tx.scalars(
        select(EventAttempt)
        .where(EventAttempt.delivery_id.in_(ids))
        .order_by(EventAttempt.started_at)
    ):
        attempts[attempt.delivery_id].append(attempt)
    return [_view(delivery, attempts[delivery.id]) for delivery in deliveries]


def _view(delivery: EventDelivery, attempts: Sequence[EventAttempt]) -> DeliveryView:
    columns = {name: getattr(delivery, name) for name in _SHOWN}
    return DeliveryView.model_validate({**columns, "attempts": attempts})


_SHOWN = (
    "id",
    "event_id",
    "event_type",
    "sequence",
    "status",
    "error",
    "due_at",
    "created_at",
    "finished_at",
)
