"""Hostile input gets a clear 4xx that names the field, and has no effect."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.models import Task
from app.services import Services
from common.pyportal_common.testing.kit import problem_of

from .conftest import FLIGHT, FLIGHTS, TASKS, Headers, Portal

BOOKING = '{"taskType": "flight_booking", "parameters": %s}'

Send = Callable[[str], list[str]]


@pytest.fixture
def send(client: FlaskClient, services: Services, john: Headers) -> Send:
    """Sends a body to POST /tasks, which is refused, and returns the fields that are named."""

    def send(body: str) -> list[str]:
        headers = john | {"Content-Type": "application/json"}
        response = client.post(TASKS, data=body, headers=headers)
        with services.database.read() as tx:
            assert tx.scalar(select(func.count()).select_from(Task)) == 0
        status, fields = problem_of(response)
        assert status == 422
        return fields

    return send


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"taskType": ["data_export"], "parameters": {}}', "taskType"),
        ('{"taskType": "data_export\\u0000", "parameters": {}}', "taskType"),
        ('{"taskType": "{*}:", "parameters": {}}', "taskType"),
        ('{"taskType": "data_export"}', "parameters"),
        ('{"taskType": "data_export", "parameters": null}', "parameters"),
        ('{"taskType": "data_export", "parameters": []}', "parameters"),
        ('{"taskType": "data_export", "parameters": {"a": 1}}', "parameters.a"),
        ('{"taskType": "data_export", "parameters": {}, "userId": 8}', "userId"),
        ('{"taskType": "data_export", "parameters": {}, "status": "completed"}', "status"),
        ('{"taskType": "data_export", "parameters": {}, "priority": null}', "priority"),
        (BOOKING % '{"flightId": 1e400, "seats": 1}', "parameters.flightId"),
        (BOOKING % '{"flightId": 9223372036854775808, "seats": 1}', "parameters.flightId"),
        (BOOKING % '{"flightId": 1, "seats": -1}', "parameters.seats"),
        (BOOKING % '{"flightId": 1, "seats": 1.5}', "parameters.seats"),
        (BOOKING % '{"flightId": 1, "seats": true}', "parameters.seats"),
        (BOOKING % '{"flightId": 1, "seats": 1, "{}:*": 1}', "parameters.{}:*"),
    ],
)
def test_invalid_body_is_refused(send: Send, body: str, field: str) -> None:
    assert send(body) == [field]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("flightNumber", ["PY\u0000", "P\u0399101", "PY101\n", "{PY}1", "PY:*", "PY{*}"]),
        ("flightNumber", ["101", "", None, 101]),
        ("origin", ["lis"]),
        ("departsAt", ["9999-12-31T23:59:59-14:00", "2099-13-01T00:00:00Z", "2099-01-01", "now"]),
        ("departsAt", ["2001-01-01T00:00:00Z", "2099-01-31T09:30:00", "", None, 1e300, 4 * 10**9]),
        ("totalSeats", [0, "100", 10**30]),
        ("availableSeats", [5]),
    ],
)
def test_invalid_flight_is_refused(
    client: FlaskClient, admin: Headers, field: str, values: list[Any]
) -> None:
    for value in values:
        response = client.post(FLIGHTS, json=FLIGHT | {field: value}, headers=admin)

        assert problem_of(response) == (422, [field]), value
    assert client.get(FLIGHTS, headers=admin).json == {"items": [], "next": None}


def test_flight_to_its_origin_is_refused(client: FlaskClient, admin: Headers) -> None:
    response = client.post(FLIGHTS, json=FLIGHT | {"destination": "LIS"}, headers=admin)

    assert problem_of(response) == (422, ["body"])


def test_undeclared_body_is_ignored(portal: Portal, john: Headers) -> None:
    path = f"{TASKS}/{portal.create(john)['taskId']}/cancel"

    assert portal.client.post(path, data=b"\x00" * 100, headers=john).status_code == 202
