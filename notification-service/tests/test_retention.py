"""Old notifications are deleted with their attempts, and old events unless they are due."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from app.models import Attempt, Event, EventDelivery, Notification
from app.services import Services
from common.pyportal_common.testing.kit import API, json_of, run_schedule

from .conftest import WELCOME, Headers
from .sender import Sender


def age(services: Services, days: int) -> None:
    """Have all notifications been created and ended so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days)
    with services.database.begin() as tx:
        for row in tx.scalars(select(Notification)):
            row.created_at = then
            row.finished_at = then if row.has_ended else None


def listed(sender: Sender, headers: Headers) -> list[int]:
    items = json_of(sender.client.get(f"{API}/notifications", headers=headers))["items"]
    return [each["notificationId"] for each in items]


def test_notifications_are_deleted_after_a_year_with_their_attempts(
    sender: Sender, john: Headers
) -> None:
    old = sender.send(WELCOME)
    assert listed(sender, john) == [old["notificationId"]]  # and cached
    age(sender.services, 366)
    new = sender.send(WELCOME)

    run_schedule(sender.services, "delete-old-notifications")

    assert listed(sender, john) == [new["notificationId"]]
    path = f"{API}/notifications/{old['notificationId']}"
    for each in (path, f"{path}/status"):
        assert sender.client.get(each, headers=john).status_code == 404
    with sender.services.database.read() as tx:
        assert tx.scalars(select(Attempt.notification_id)).all() == [new["notificationId"]]


def test_a_notification_that_is_not_sent_is_kept_however_old(sender: Sender, john: Headers) -> None:
    queued = sender.accept(WELCOME)
    age(sender.services, 4000)

    run_schedule(sender.services, "delete-old-notifications")

    assert listed(sender, john) == [queued["notificationId"]]


def test_an_event_is_kept_while_a_delivery_of_it_is_due(sender: Sender) -> None:
    services = sender.services
    now = datetime.now(UTC)
    with services.database.begin() as tx:
        for name in ("due", "sent"):
            tx.add(Event(id=name, type="user.updated", user_id=7, data={}, created_at=now))
        tx.flush()
        for number, name in enumerate(("due", "sent"), start=1):
            delivery = EventDelivery(
                webhook_id=1, sequence=number, event_id=name, event_type="user.updated"
            )
            delivery.priority, delivery.attempts, delivery.progress = "normal", 0, 0
            delivery.apply(delivery.waiting(now) if name == "due" else delivery.ended(now, "sent"))
            delivery.created_at = now
            tx.add(delivery)
        tx.execute(update(Event).values(created_at=now - timedelta(days=31)))

    run_schedule(services, "delete-old-events")

    with services.database.read() as tx:
        assert tx.scalars(select(Event.id)).all() == ["due"]
        assert tx.scalars(select(EventDelivery.event_id)).all() == ["due"]
