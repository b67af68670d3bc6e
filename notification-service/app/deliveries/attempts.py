"""The attempts at deliveries, as operators see them."""

from collections.abc import Sequence

from sqlalchemy import select

from common.pyportal_common.db import Database
from common.pyportal_common.jobs.attempts import DeliveryAttempt

from ..models import Attempt, AttemptColumns, EventAttempt, Notification

_MOST = 100
_MAX_ANSWER = 200  # characters


class Attempts:
    """Finds the latest attempts at a delivery. They have no body of a webhook's response."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_notification(self, notification_id: int) -> Sequence[DeliveryAttempt]:
        """The attempts to deliver a notification."""
        latest = (
            select(Attempt)
            .where(Attempt.notification_id == notification_id)
            .order_by(Attempt.started_at.desc(), Attempt.token)
        )
        with self._database.read() as tx:
            notification = tx.get(Notification, notification_id)
            rows = tx.scalars(latest.limit(_MOST)).all()
        is_mail = notification is not None and notification.channel == "email"
        return [_shown(row, has_body=not is_mail) for row in reversed(rows)]

    def of_event(self, delivery_id: int) -> Sequence[DeliveryAttempt]:
        """The attempts to deliver an event to a webhook."""
        latest = (
            select(EventAttempt)
            .where(EventAttempt.delivery_id == delivery_id)
            .order_by(EventAttempt.started_at.desc(), EventAttempt.token)
        )
        with self._database.read() as tx:
            rows = tx.scalars(latest.limit(_MOST)).all()
        return [_shown(row, has_body=True) for row in reversed(rows)]


def _shown(row: AttemptColumns, *, has_body: bool) -> DeliveryAttempt:
    answer = row.answer
    if answer is not None:  # of a webhook: its status, a blank and the body
        answer = answer.partition(" ")[0] if has_body else answer[:_MAX_ANSWER]
    return DeliveryAttempt(
        row.number, row.started_at, row.ended_at, row.outcome, answer, row.reason
    )
