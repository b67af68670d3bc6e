"""Publishing events: each becomes a delivery for every webhook that subscribes to it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, Transaction, current_time
from common.pyportal_common.db.batches import delete_in_batches
from common.pyportal_common.jobs import Jobs
from common.pyportal_common.jobs.turns import turn_of

from ..errors import IdempotencyKeyReused
from ..models import Event, EventDelivery, Notification, Webhook
from . import catalogue

_INSERT: Any = insert(EventDelivery.__table__)  # type: ignore[arg-type]  # it is a Table
_ROWS = 20  # events per transaction: each may have a hundred deliveries, with their attempts


class Events:
    """The events of all users, and their deliveries, of which `jobs` are the unfinished ones.

    They are deleted after `kept_for`.
    """

    def __init__(
        self, database: Database, jobs: Jobs[EventDelivery], *, kept_for: timedelta
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._kept_for = kept_for

    def publish(self, event: Event) -> None:
        """Publish one event. Publishing it again has no effect.

        Raises IdempotencyKeyReused if another event has its id.
        """
        published = (event.type, event.user_id, event.data)
        try:
            with self._database.begin(changes_cached=False) as tx:
                self.add(tx, [event])
        except IntegrityError:
            with self._database.read() as tx:
                found = tx.get(Event, event.id)
            if found is None:
                raise
            if (found.type, found.user_id, found.data) != published:
                raise IdempotencyKeyReused from None
        self._jobs.wake_workers()

    def add(self, tx: Transaction, events: Iterable[Event]) -> bool:
        """Publish events in this transaction. Whether any webhook subscribes to one.

        All deliveries are written together with their event, so none is lost or written twice: a
        user has at most a hundred webhooks. Four statements for any number of events. The webhooks
        are locked until the COMMIT, so that each gets its numbers without gaps.
        """
        by_user = defaultdict(list)
        for event in events:
            by_user[event.user_id].append(event)
        if not by_user:
            return False
        webhooks = tx.scalars(
            select(Webhook)
            .where(Webhook.user_id.in_(by_user))
            .order_by(Webhook.id)
            .with_for_update()
        ).all()
        pairs = [
            (webhook, event)
            for webhook in webhooks
            for event in by_user[webhook.user_id]
            if webhook.receives(event.type)
        ]
        self._write(tx, pairs)
        return bool(pairs)

    def send_test(self, tx: Transaction, webhook: Webhook, event: Event) -> EventDelivery:
        """Send an event to one webhook, which is locked, whatever it subscribes to."""
        self._write(tx, [(webhook, event)])
        return tx.scalars(select(EventDelivery).where(EventDelivery.event_id == event.id)).one()

    def notifications_ended(self, tx: Transaction, ended: Sequence[Notification]) -> None:
        """Publish the failures among notifications that this transaction ends."""
        failed = (each for each in ended if each.status == each.STATES.failed)
        self.add(tx, filter(None, map(catalogue.failure_of, failed)))

    def forget(self, user_id: int) -> None:
        """Delete all events of a user, with their deliveries."""
        while delete_in_batches(self._database, Event, Event.user_id == user_id, rows=_ROWS):
            pass

    def delete_old(self) -> None:
        """Delete the events that have been kept long enough, with their deliveries.

        One is kept longer while a delivery of it has not ended.
        """
        old = Event.created_at < self._database.now() - self._kept_for
        # Not EXISTS, for which PostgreSQL may read the deliveries of all events.
        unfinished = (
            select(EventDelivery.id)
            .where(EventDelivery.event_id == Event.id, EventDelivery.finished_at.is_(None))
            .limit(1)
            .scalar_subquery()
        )
        delete_in_batches(
            self._database,
            Event,
            old,
            unfinished.is_(None),
            referring=EventDelivery.event_id,
            rows=_ROWS,
        )

    @staticmethod
    def _write(tx: Transaction, pairs: Sequence[tuple[Webhook, Event]]) -> None:
        if not pairs:
            return
        tx.add_all({event.id: event for _, event in pairs}.values())
        tx.flush()
        now = current_time(tx)
        rows = [_row(webhook, event, now) for webhook, event in pairs]
        # Without the session's unit of work, which takes longer.
        tx.connection().execute(_INSERT, rows)


def _row(webhook: Webhook, event: Event, now: datetime) -> dict[str, Any]:
    """The columns of a delivery, which takes the webhook's next number."""
    webhook.sequence += 1
    model = EventDelivery
    new = model(priority="normal")
    if webhook.enabled or event.type == catalogue.TEST:
        state = model.waiting(now, turn=turn_of(new, now, None))
        state |= {"error": None, "finished_at": None}
    else:
        state = model.ended(now, model.STATES.cancelled, webhook.disabled_reason)
    return {
        "webhook_id": webhook.id,
        "sequence": webhook.sequence,
        "event_id": event.id,
        "event_type": event.type,
        "priority": new.priority,
        "progress": 0,
        "attempts": 0,
        "traceparent": event.traceparent,
        "created_at": now,
        **state,
    }
