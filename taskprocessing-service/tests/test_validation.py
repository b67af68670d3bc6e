"""Hostile input gets a clear 4xx that names the field, and has no effect."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.models import Task
from app.services import Services

from .conftest import FLIGHT, FLIGHTS, TASKS, Headers, Portal, json_of

BOOKING = '{"taskType": "flight_booking", "parameters": %s}'

Send = Callable[[str | bytes], tuple[int, list[str]]]


@pytest.fixture
def send(client: FlaskClient, services: Services, john: Headers) -> Send:
    """Sends a body to POST /tasks, and returns the status and the fields that are named."""

    def send(body: str | bytes) -> tuple[int, list[str]]:
        headers = john | {"Content-Type": "application/json"}
        response = client.post(TASKS, data=body, headers=headers)
        with services.database.read() as tx:
            assert tx.scalar(select(func.count()).select_from(Task)) == 0
        fields = [detail["field"] for detail in json_of(response)["details"]]
        return response.status_code, fields

    return send


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("", 400, "body"),
        ("{", 400, "body"),
        ("[]", 422, "body"),
        ("null", 422, "body"),
        ('{"taskType": "data_export", "taskType": "x", "parameters": {}}', 400, "taskType"),
        ('{"taskType": ["data_export"], "parameters": {}}', 422, "taskType"),
        ('{"taskType": "data_export\\u0000", "parameters": {}}', 422, "taskType"),
        ('{"taskType": "{*}:", "parameters": {}}', 422, "taskType"),
        ('{"taskType": "data_export"}', 422, "parameters"),
        ('{"taskType": "data_export", "parameters": null}', 422, "parameters"),
        ('{"taskType": "data_export", "parameters": []}', 422, "parameters"),
        ('{"taskType": "data_export", "parameters": {"a": 1}}', 422, "parameters.a"),
        ('{"taskType": "data_export", "parameters": {}, "userId": 8}', 422, "userId"),
        ('{"taskType": "data_export", "parameters": {}, "status": "completed"}', 422, "status"),
        ('{"taskType": "data_export", "parameters": {}, "priority": null}', 422, "priority"),
        (BOOKING % '{"flightId": 1e400, "seats": 1}', 422, "parameters.flightId"),
        (BOOKING % '{"flightId": NaN, "seats": 1}', 400, "body"),
        (BOOKING % '{"flightId": 9223372036854775808, "seats": 1}', 422, "parameters.flightId"),
        (BOOKING % ('{"flightId": %s, "seats": 1}' % ("9" * 5000)), 400, "body"),
        (BOOKING % '{"flightId": 1, "seats": -1}', 422, "parameters.seats"),
        (BOOKING % '{"flightId": 1, "seats": 1.5}', 422, "parameters.seats"),
        (BOOKING % '{"flightId": 1, "seats": true}', 422, "parameters.seats"),
        (BOOKING % '{"flightId": 1, "seats": 1, "{}:*": 1}', 422, "parameters.{}:*"),
        (BOOKING % ("[" * 3000 + "]" * 3000), 400, "body"),
    ],
)
def test_invalid_body_is_refused(send: Send, body: str, status: int, field: str) -> None:
    assert send(body) == (status, [field])


def test_body_of_ten_megabytes_is_a_413(send: Send) -> None:
    assert send(b"[" * 10_000_000)[0] == 413


def test_half_a_surrogate_pair_is_not_a_5xx(send: Send) -> None:
    status, _ = send('{"taskType": "\\ud800", "parameters": {"\\ud800": 1}}')

    assert status in {400, 422}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("flightNumber", value)
            for value in ["PY\u0000", "P\u0399101", "PY101\n", "{PY}1", "PY:*", "", None, 101]
        ),
        ("departsAt", "9999-12-31T23:59:59-14:00"),
        ("departsAt", "2099-13-01T00:00:00Z"),
        *(("departsAt", value) for value in ["2099-01-01", "now", "", None, 1e300]),
    ],
)
def test_invalid_flight_is_refused(
    client: FlaskClient, admin: Headers, field: str, value: Any
) -> None:
    response = client.post(FLIGHTS, json=FLIGHT | {field: value}, headers=admin)

    assert response.status_code == 422
    assert [detail["field"] for detail in json_of(response)["details"]] == [field]
    assert client.get(FLIGHTS, headers=admin).json == {"items": [], "next": None}


def test_undeclared_body_is_ignored(portal: Portal, john: Headers) -> None:
    path = f"{TASKS}/{portal.create(john)['taskId']}/cancel"

    assert portal.client.post(path, data=b"\x00" * 100, headers=john).status_code == 202
