"""What Task Processing tells Notification, and what it forgets for User Management."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.models import Booking, Event, FilePart, Task
from app.services import Services

from .conftest import API, TASKS, logged_in, mine_of, work_off

Headers = dict[str, str]

TOKEN = "a-token-of-user-management"
SERVICE = {"X-Service-Token": TOKEN}
EXPORT: dict[str, Any] = {"taskType": "data_export", "parameters": {}}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The service, which knows User Management's token."""
    return make_app(service_tokens=f"usermanagement:{TOKEN}")


def events_in(mine: Services) -> list[Event]:
    with mine.database.read() as tx:
        return list(tx.scalars(select(Event).order_by(Event.id)))


def ask(client: FlaskClient, headers: Headers, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(TASKS, json=body, headers=headers)
    assert answer.json is not None, answer.text
    task: dict[str, Any] = answer.json["task"]
    return task


def booking(flight: dict[str, Any], seats: int) -> dict[str, Any]:
    parameters = {"flightId": flight["flightId"], "seats": seats}
    return {"taskType": "flight_booking", "parameters": parameters}


class TestTelling:
    def test_a_booking_that_worked_and_one_that_did_not(
        self, client: FlaskClient, mine: Services, john: Headers, flight: dict[str, Any]
    ) -> None:
        done = ask(client, john, booking(flight, 60))
        failed = ask(client, john, booking(flight, 60))

        work_off(mine)

        told, other = sorted((event.body for event in events_in(mine)), key=lambda b: b["template"])
        assert told["template"] == "task_completed"
        assert told["userId"] == 7
        assert told["data"]["taskReference"] == done["taskReference"]
        assert told["data"]["details"]["flightNumber"] == "PY101"
        assert other["template"] == "task_failed"
        assert other["data"]["taskReference"] == failed["taskReference"]
        assert "40 seats left" in other["data"]["error"]

    def test_the_event_is_there_if_and_only_if_the_task_has_ended(
        self,
        client: FlaskClient,
        mine: Services,
        john: Headers,
        flight: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ask(client, john, booking(flight, 1))
        monkeypatch.setattr("app.services.publish", lambda *_, **__: (_ for _ in ()).throw(OSError))

        work_off(mine)

        assert events_in(mine) == []
        with mine.database.read() as tx:
            assert tx.scalars(select(Task.status)).one() == "pending"
            assert tx.scalars(select(Booking)).all() == []

    def test_a_task_that_its_user_cancelled_is_no_news(
        self, client: FlaskClient, mine: Services, john: Headers
    ) -> None:
        task = ask(client, john, EXPORT)

        client.post(f"{TASKS}/{task['taskId']}/cancel", headers=john)
        work_off(mine)

        assert events_in(mine) == []


class TestForgetting:
    def test_a_deleted_users_tasks_are_nobodys_and_the_seats_stay_sold(
        self,
        client: FlaskClient,
        mine: Services,
        john: Headers,
        jane: Headers,
        flight: dict[str, Any],
    ) -> None:
        key = {"Idempotency-Key": "one"}
        ask(client, john | key, booking(flight, 3))
        ask(client, john, EXPORT)
        work_off(mine)
        ask(client, john, EXPORT)
        hers = ask(client, jane, EXPORT)
        client.get(TASKS, headers=john)

        answer = client.post(f"{API}/users/7/anonymise", headers=SERVICE)

        assert answer.status_code == 204
        assert client.get(TASKS, headers=john).json == {"items": [], "next": None}
        with mine.database.read() as tx:
            tasks = tx.scalars(select(Task).order_by(Task.id)).all()
            assert [task.user_id for task in tasks] == [0, 0, 0, 8]
            assert [task.status for task in tasks] == [
                "completed",
                "completed",
                "cancelled",
                "pending",
            ]
            assert {task.idempotency_key for task in tasks} == {None}
            assert tx.scalars(select(Booking.user_id)).all() == [0]
            assert tx.scalars(select(FilePart)).all() == []
        assert all(event.has_ended and event.body == {} for event in events_in(mine))
        assert client.get(f"{TASKS}/{hers['taskId']}", headers=jane).status_code == 200
        seats = client.get(f"{API}/flights/{flight['flightId']}/availability", headers=jane)
        assert seats.json is not None
        assert seats.json["available_seats"] == 97

    def test_that_is_for_services_only(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(service_tokens=f"usermanagement:{TOKEN}").test_client()
        path = f"{API}/users/7/anonymise"

        assert client.post(path, headers=logged_in(7)).status_code == 401
        assert client.post(path, headers=logged_in(1, "admin")).status_code == 401
        assert client.post(path, headers={"X-Service-Token": "x" * 26}).status_code == 401

    def test_it_can_be_said_twice(self, app: Flask, client: FlaskClient, john: Headers) -> None:
        ask(client, john, EXPORT)
        path = f"{API}/users/7/anonymise"

        assert [client.post(path, headers=SERVICE).status_code for _ in "12"] == [204, 204]
        assert mine_of(app).database.ping()
