"""Old tasks are deleted with their bookings, unless they are still needed."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.models import Booking, Flight, Task
from app.services import Services
from common.pyportal_common.testing.kit import run_schedule

from .conftest import EXPORT, TASKS, Headers, Json, MakeApp, Portal, booking, services_of


def age(services: Services, days: int) -> None:
    """Have all tasks been created and ended so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days)
    with services.database.begin() as tx:
        for task in tx.scalars(select(Task)):
            task.created_at = then
            task.finished_at = then if task.has_ended else None


def depart(services: Services, days: int) -> None:
    """Have all flights departed so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days)
    with services.database.begin() as tx:
        for flight in tx.scalars(select(Flight)):
            flight.departs_at = then


def delete_old(services: Services) -> None:
    run_schedule(services, "delete-old-tasks")


def references(portal: Portal, headers: Headers) -> list[str]:
    return [task["taskReference"] for task in portal.list(headers)]


def test_tasks_are_deleted_after_a_year(portal: Portal, john: Headers, services: Services) -> None:
    portal.post(john, portal.create(john), "cancel")
    age(services, 366)
    new = portal.run(john, EXPORT)

    delete_old(services)

    assert references(portal, john) == [new["taskReference"]]


def test_cached_values_of_deleted_tasks_are_invalidated(
    portal: Portal, john: Headers, services: Services
) -> None:
    task = portal.create(john)
    portal.post(john, task, "cancel")
    age(services, 366)
    assert portal.show(john, task)["status"] == "cancelled"
    assert len(portal.list(john)) == 1

    delete_old(services)

    response = portal.client.get(f"{TASKS}/{task['taskId']}", headers=john)
    assert response.status_code == 404
    assert portal.list(john) == []


def test_tasks_that_have_not_ended_are_kept_however_old(
    portal: Portal, john: Headers, services: Services
) -> None:
    task = portal.create(john)
    age(services, 4000)

    delete_old(services)

    assert references(portal, john) == [task["taskReference"]]


@pytest.mark.parametrize(("departed_days_ago", "left"), [(-1, 1), (0, 1), (364, 1), (366, 0)])
def test_bookings_are_kept_until_a_year_after_the_departure(
    portal: Portal,
    john: Headers,
    flight: Json,
    services: Services,
    departed_days_ago: int,
    left: int,
) -> None:
    portal.run(john, booking(flight))
    age(services, 800)
    depart(services, departed_days_ago)

    delete_old(services)

    with services.database.read() as tx:
        assert len(tx.scalars(select(Booking)).all()) == left
    assert len(references(portal, john)) == left


def test_a_cancelled_booking_of_a_future_flight_is_kept(
    portal: Portal, john: Headers, flight: Json, services: Services
) -> None:
    portal.run(john, booking(flight))
    with services.database.begin() as tx:
        tx.execute(update(Booking).values(cancelled_at=datetime.now(UTC)))
    age(services, 800)

    delete_old(services)

    assert len(references(portal, john)) == 1


@pytest.mark.parametrize("is_empty", [False, True])
def test_an_export_is_kept_until_it_expires(
    portal: Portal, john: Headers, make_app: MakeApp, is_empty: bool
) -> None:
    services = services_of(make_app(task_days=1, export_days=30))
    if not is_empty:
        cancelled = portal.create(john)
        portal.post(john, cancelled, "cancel")
    export = portal.run(john, EXPORT)
    age(services, 2)

    delete_old(services)

    assert references(portal, john) == [export["taskReference"]]
    assert portal.file(john, export).status_code == 200


def test_task_days_is_how_long_they_are_kept(
    app: Flask, portal: Portal, john: Headers, make_app: MakeApp
) -> None:
    portal.post(john, portal.create(john), "cancel")
    age(services_of(app), 10)

    delete_old(services_of(make_app(task_days=11)))
    kept = len(portal.list(john))
    delete_old(services_of(make_app(task_days=9)))

    assert (kept, portal.list(john)) == (1, [])
