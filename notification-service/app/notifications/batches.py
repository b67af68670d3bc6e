"""Many notifications of another service, created in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError

from common.pyportal_common.db import Database, Transaction

from ..errors import IdempotencyKeyReused, RecipientNotAllowed, UnusableData
from ..models import Notification
from .recipients import Principal
from .schemas import NewNotification
from .service import Notifications, is_same_request


@dataclass(frozen=True, slots=True)
class KeyedNew:
    """A notification to create, the digest of its idempotency key, and its trace."""

    event_key: str
    new: NewNotification
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A notification that was created, now or by an earlier request with its key."""

    notification_id: int
    is_replayed: bool


class Batches:
    """Creates the notifications of batches. One that is refused does not affect the others."""

    def __init__(self, database: Database, notifications: Notifications) -> None:
        self._database = database
        self._notifications = notifications

    def create(self, items: Sequence[KeyedNew], principal: Principal) -> list[Created | Exception]:
        """Create the notifications and queue their deliveries. The results, in the same order.

        A notification that is refused has an error that `Notifications.create` raises. One
        transaction and three statements for all, and four for their events, unless SQL refuses a
        value or a key is new twice: then each is created for itself.
        """
        results: dict[int, Created | Exception] = {}
        rows: dict[int, Notification] = {}
        for position, item in enumerate(items):
            try:
                rows[position] = self._prepare(item, principal)
            except (RecipientNotAllowed, UnusableData) as error:
                results[position] = error
        try:
            results |= self._insert(rows, principal)
        except (IntegrityError, DataError):
            results |= {each: self._create_alone(items[each], principal) for each in rows}
        return [results[position] for position in range(len(items))]

    def _insert(
        self, rows: dict[int, Notification], principal: Principal
    ) -> dict[int, Created | Exception]:
        with self._database.begin() as tx:
            earlier = _earlier(tx, rows.values(), principal)
            new = [row for row in rows.values() if row.idempotency_key not in earlier]
            self._notifications.put_all(tx, new)
        self._notifications.wake_workers()
        return {
            position: _result(row, earlier.get(row.idempotency_key))
            for position, row in rows.items()
        }

    def _create_alone(self, item: KeyedNew, principal: Principal) -> Created | Exception:
        # A second time after another request has committed the same key: then it is replayed.
        try:
            try:
                return self._insert({0: self._prepare(item, principal)}, principal)[0]
            except IntegrityError:
                return self._insert({0: self._prepare(item, principal)}, principal)[0]
        except DataError as error:
            return error

    def _prepare(self, item: KeyedNew, principal: Principal) -> Notification:
        row = self._notifications.prepare(item.new, principal, event_key=item.event_key)
        row.traceparent = item.traceparent
        return row


def _earlier(
    tx: Transaction, rows: Iterable[Notification], principal: Principal
) -> dict[str | None, Notification]:
    """The notifications that exist already, by the digests of their keys."""
    event_keys = [row.idempotency_key for row in rows]
    found = tx.scalars(
        select(Notification).where(
            Notification.source == principal.name, Notification.idempotency_key.in_(event_keys)
        )
    )
    return {row.idempotency_key: row for row in found}


def _result(new: Notification, earlier: Notification | None) -> Created | Exception:
    if earlier is None:
        return Created(new.id, is_replayed=False)
    if not is_same_request(earlier, new):
        return IdempotencyKeyReused()
    return Created(earlier.id, is_replayed=True)
