"""Old notifications are deleted with their attempts, and old events unless they are due."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.models import Attempt, Event, EventDelivery, Notification
from app.services import Services
from common.pyportal_common.testing.kit import API, json_of, run_schedule, wait_until_blocked

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


def add_old_events(services: Services, *states: str) -> None:
    """Add events whose ids are the states of their deliveries."""
    now = datetime.now(UTC)
    with services.database.begin() as tx:
        for name in states:
            tx.add(Event(id=name, type="user.updated", user_id=7, data={}, created_at=now))
        tx.flush()
        for number, name in enumerate(states, start=1):
            delivery = EventDelivery(
                webhook_id=1, sequence=number, event_id=name, event_type="user.updated"
            )
            delivery.priority, delivery.attempts, delivery.progress = "normal", 0, 0
            delivery.apply(delivery.waiting(now) if name == "due" else delivery.ended(now, name))
            delivery.created_at = now
            tx.add(delivery)
        tx.execute(update(Event).values(created_at=now - timedelta(days=31)))


def assert_left(services: Services, *events: str) -> None:
    with services.database.read() as tx:
        assert tx.scalars(select(Event.id)).all() == list(events)
        assert tx.scalars(select(EventDelivery.event_id)).all() == list(events)


def test_an_event_is_kept_while_a_delivery_of_it_is_due(sender: Sender) -> None:
    add_old_events(sender.services, "due", "sent")

    run_schedule(sender.services, "delete-old-events")

    assert_left(sender.services, "due")


def test_an_event_is_kept_if_a_delivery_of_it_is_retried_meanwhile(
    sender: Sender, sql_kind: str
) -> None:
    if sql_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    services = sender.services
    add_old_events(services, "failed", "sent")

    with ThreadPoolExecutor() as pool:
        with services.database.begin() as tx:
            failed = EventDelivery.event_id == "failed"
            retried = tx.scalars(select(EventDelivery).where(failed).with_for_update()).one()
            services.event_jobs.retry(retried)
            tx.flush()
            deletion = pool.submit(run_schedule, services, "delete-old-events")
            wait_until_blocked(services.database)
        deletion.result()

    assert_left(services, "failed")
