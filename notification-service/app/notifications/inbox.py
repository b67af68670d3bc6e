"""The inbox: the notifications of a user, and which of them the user has read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from common.pyportal_common.cache_handlers import Cache, DocumentArray, JsonValue, Policy, keys
from common.pyportal_common.db import Database
from common.pyportal_common.db.consistency import CacheKind

from ..errors import NotificationNotFound
from ..models import Notification
from .schemas import CACHED_NOTIFICATION, NotificationSearch, NotificationView

# An hour in total. In the last five minutes the value is stale: one reader refreshes it.
_CACHING = Policy(ttl=3300, stale_for=300, shape=DocumentArray(CACHED_NOTIFICATION.document))

_SEARCHED = 1000  # notifications, for a page of which not all filters have an index
_BATCH_SIZE = 500  # rows of one transaction
_MOST_READ = 10_000  # by one request
_MOST_COUNTED = 1000


class Inbox:
    """The lists of all users, and the read states of their notifications."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache

    def page(self, search: NotificationSearch, user_id: int) -> JsonValue:
        """A page of the user's notifications, the newest first. The unfiltered first is cached.

        With a filter that has no index, a page is searched for in a thousand notifications. So it
        may have fewer items, or none, and a next page.
        """
        if search.model_fields_set:
            return self._search(search, user_id)
        load = partial(self._load, user_id)
        found = self._cache.find(keys.user_notifications(user_id), load, _CACHING)
        return found.first_page(search.limit, cursor="notificationId")

    def cache_kinds(self) -> Sequence[CacheKind]:
        """The kind of values that is cached, and how it follows from SQL."""
        return [CacheKind(keys.user_notifications, self._load, _CACHING)]

    def _load(self, user_id: int) -> list[dict[str, Any]]:
        first = NotificationSearch()
        with self._database.read() as tx:
            return _views(tx.scalars(_listed(first, user_id).limit(first.limit + 1)).all())

    def _search(self, search: NotificationSearch, user_id: int) -> JsonValue:
        found, others = _listed(search, user_id), _filters_without_index(search)
        with self._database.read() as tx:
            too_many = found.with_only_columns(Notification.id).offset(_SEARCHED).limit(1)
            end = tx.scalar(too_many) if others else None
            if end is not None:
                found = found.where(Notification.id > end)
            rows = tx.scalars(found.where(*others).limit(search.limit + 1)).all()
        page = JsonValue.of(_views(rows)).first_page(search.limit, cursor="notificationId")
        if end is None or page.value["next"] is not None:
            return page
        return JsonValue.of({**page.value, "next": str(end + 1)})

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


def _views(rows: Sequence[Notification]) -> list[dict[str, Any]]:
    return [NotificationView.model_validate(row).model_dump(mode="json") for row in rows]


def _listed(search: NotificationSearch, user_id: int) -> Select[Notification]:
    """The list without the filters that have no index, the newest first."""
    found = _unread(user_id) if search.unread else select(Notification).filter_by(user_id=user_id)
    if search.status is not None and not search.unread:
        found = found.where(Notification.status == search.status)
    if search.cursor is not None:
        found = found.where(Notification.id < int(search.cursor))
    return found.order_by(Notification.id.desc())


def _filters_without_index(search: NotificationSearch) -> list[ColumnElement[bool]]:
    found = []
    if search.channel is not None:
        found.append(Notification.channel == search.channel)
    if search.unread is False:
        found.append(Notification.read_at.is_not(None))
    if search.unread and search.status is not None:
        found.append(Notification.status == search.status)
    return found
