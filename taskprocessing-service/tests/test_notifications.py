"""Messages to Notification about tasks that ended, and what is removed with a user."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.models import Booking, FilePart, Message, Task
from app.services import Services
from common.pyportal_common.db.idempotency import KEYS
from common.pyportal_common.testing.kit import API

from .conftest import TASKS, Headers, Json, MakeApp, Portal, booking, listening

TOKEN = "a-token-of-user-management"
SERVICE = {"X-Service-Token": TOKEN}
ANONYMISE = f"{API}/users/7/anonymise"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """The service, which accepts User Management's token."""
    return make_app(service_tokens=f"usermanagement:{TOKEN}")


def messages_in(services: Services) -> list[Message]:
    with services.database.read() as tx:
        return list(tx.scalars(select(Message).order_by(Message.id)))


class TestTaskEnded:
    def test_user_is_notified_of_a_completed_and_of_a_failed_booking(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        done = portal.create(john, booking(flight, 60))
        failed = portal.create(john, booking(flight, 60))

        portal.run_tasks()

        first, second = (message.body for message in messages_in(portal.services))
        assert first["template"] == "task_completed"
        assert first["userId"] == 7
        assert first["data"]["taskReference"] == done["taskReference"]
        assert first["data"]["taskId"] == done["taskId"]
        assert first["data"]["details"]["flightNumber"] == "PY101"
        assert second["template"] == "task_failed"
        assert second["data"]["taskReference"] == failed["taskReference"]
        assert "40 seats left" in second["data"]["error"]

    def test_message_exists_if_and_only_if_the_task_has_ended(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.create(john, booking(flight))

        def fail(_connection: object, _cursor: object, text: str, *_: object) -> None:
            if text.startswith("INSERT INTO events"):
                raise OSError

        with listening(portal.services.database.engine, "before_cursor_execute", fail):
            portal.run_tasks()

        assert messages_in(portal.services) == []
        assert portal.show(john, task)["status"] == "pending"
        with portal.services.database.read() as tx:
            assert tx.scalars(select(Booking)).all() == []

    def test_booking_that_is_cancelled_without_a_task_is_an_event(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight, 2))

        for _ in range(2):
            portal.client.post(f"{API}/bookings/{task['taskId']}/cancel", headers=john)

        [_, event] = (message.body for message in messages_in(portal.services))
        assert (event["type"], event["userId"]) == ("booking.cancelled", 7)
        assert event["data"]["bookingId"] == task["taskId"]
        assert (event["data"]["flightNumber"], event["data"]["seats"]) == ("PY101", 2)

    def test_user_is_not_notified_of_their_own_cancellation(
        self, portal: Portal, john: Headers
    ) -> None:
        portal.post(john, portal.create(john), "cancel")

        portal.run_tasks()

        assert messages_in(portal.services) == []


class TestAnonymise:
    def test_deleted_user_is_removed_and_the_seats_stay_sold(
        self, portal: Portal, john: Headers, jane: Headers, flight: Json
    ) -> None:
        portal.create(john | {"Idempotency-Key": "one"}, booking(flight, 3))
        portal.create(john)
        portal.run_tasks()
        portal.create(john)
        janes = portal.create(jane)
        portal.list(john)

        response = portal.client.post(ANONYMISE, headers=SERVICE)

        assert response.status_code == 204
        assert portal.client.get(TASKS, headers=john).json == {"items": [], "next": None}
        with portal.services.database.read() as tx:
            tasks = tx.scalars(select(Task).order_by(Task.id)).all()
            assert [(task.user_id, task.status) for task in tasks] == [
                (0, "completed"),
                (0, "completed"),
                (0, "cancelled"),
                (8, "pending"),
            ]
            assert tx.scalars(select(KEYS.c.user_id)).all() == []
            assert tx.scalars(select(Booking.user_id)).all() == [0]
            assert tx.scalars(select(FilePart)).all() == []
        messages = messages_in(portal.services)
        assert all(message.has_ended and message.body == {} for message in messages)
        assert portal.show(jane, janes) == janes
        assert portal.seats_left(jane, flight) == 97

    def test_it_is_for_services_only(self, portal: Portal, john: Headers, admin: Headers) -> None:
        for headers in (john, admin, {"X-Service-Token": "x" * 26}):
            assert portal.client.post(ANONYMISE, headers=headers).status_code == 401

    def test_it_can_be_repeated(self, portal: Portal, john: Headers) -> None:
        portal.create(john)

        statuses = [portal.client.post(ANONYMISE, headers=SERVICE).status_code for _ in range(2)]

        assert statuses == [204, 204]
