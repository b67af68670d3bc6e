"""The inbox: which notifications their user has read."""

from datetime import UTC, datetime

from sqlalchemy import Select, func, select

from common.pyportal_common.db import Database

from ..errors import NotificationNotFound
from ..models import Notification
from .schemas import NotificationView

_BATCH_SIZE = 500  # rows of one transaction
_MOST_READ = 10_000  # by one request
_MOST_COUNTED = 1000


class Inbox:
    """The read states of all notifications."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark_read(self, notification_id: int, user_id: int) -> NotificationView:
        """Mark a notification of the user as read. Raises NotificationNotFound."""
        with self._database.begin() as tx:
            found = tx.get(Notification, notification_id, with_for_update=True)
            if found is None or found.user_id != user_id:
                raise NotificationNotFound
            found.read_at = found.read_at or datetime.now(UTC)
        return NotificationView.model_validate(found)

    def mark_all_read(self, user_id: int) -> None:
        """Mark the user's notifications as read: the newest 10,000, in batches."""
        for _ in range(_MOST_READ // _BATCH_SIZE):
            with self._database.begin() as tx:
                unread = _unread(user_id).order_by(Notification.id.desc()).limit(_BATCH_SIZE)
                found = tx.scalars(unread.with_for_update()).all()
                for notification in found:
                    notification.read_at = datetime.now(UTC)
            if len(found) < _BATCH_SIZE:
                return

    def count_unread(self, user_id: int) -> int:
        """The number of the user's unread notifications. At most 1,000 are counted."""
        unread = _unread(user_id).with_only_columns(Notification.id).limit(_MOST_COUNTED)
        with self._database.read() as tx:
            return tx.scalar(select(func.count()).select_from(unread.subquery())) or 0


def _unread(user_id: int) -> Select[Notification]:
    return select(Notification).where(
        Notification.user_id == user_id, Notification.read_at.is_(None)
    )
