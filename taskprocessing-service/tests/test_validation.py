"""What a client should not send gets a clear 4xx that names it, and leaves nothing behind."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.models import Task
from app.services import Services

from .conftest import FLIGHTS, TASKS

Headers = dict[str, str]
BOOKING = '{"taskType": "flight_booking", "parameters": %s}'


@pytest.fixture
def send(
    client: FlaskClient, mine: Services, john: Headers
) -> Callable[[str | bytes], tuple[int, list[str]]]:
    """Sends a body to POST /tasks: the status, and the fields that the answer names."""

    def send(body: str | bytes) -> tuple[int, list[str]]:
        answer = client.post(TASKS, data=body, headers=john | {"Content-Type": "application/json"})
        with mine.database.read() as tx:
            assert tx.scalar(select(func.count()).select_from(Task)) == 0
        assert answer.json is not None
        return answer.status_code, [detail["field"] for detail in answer.json["details"]]

    return send


Send = Callable[[str | bytes], tuple[int, list[str]]]


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
def test_it_is_refused_and_named(send: Send, body: str, status: int, field: str) -> None:
    assert send(body) == (status, [field])


def test_ten_megabytes_are_a_413(send: Send) -> None:
    assert send(b"[" * 10_000_000)[0] == 413


def test_half_a_surrogate_pair_is_no_5xx(send: Send) -> None:
    status, _ = send('{"taskType": "\\ud800", "parameters": {"\\ud800": 1}}')

    assert status in {400, 422}


def test_a_flight_of_strange_letters_is_refused(client: FlaskClient, admin: Headers) -> None:
    strange: list[Any] = ["PY\u0000", "P\u0399101", "PY101\n", "{PY}1", "PY:*", "", None, 101]

    for number in strange:
        body = {
            "flightNumber": number,
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2099-01-31T09:30:00Z",
            "totalSeats": 1,
        }
        answer = client.post(FLIGHTS, json=body, headers=admin)
        assert answer.status_code == 422, number
        assert answer.json is not None
        assert answer.json["details"][0]["field"] == "flightNumber"
    assert client.get(FLIGHTS, headers=admin).json == {"items": [], "next": None}


@pytest.mark.parametrize(
    "departs_at",
    ["9999-12-31T23:59:59-14:00", "2099-13-01T00:00:00Z", "2099-01-01", "now", "", None, 1e300],
)
def test_a_departure_that_is_no_moment_is_refused(
    client: FlaskClient, admin: Headers, departs_at: Any
) -> None:
    body = {
        "flightNumber": "PY101",
        "origin": "LIS",
        "destination": "OSL",
        "departsAt": departs_at,
        "totalSeats": 1,
    }

    answer = client.post(
        FLIGHTS, data=json.dumps(body), headers=admin, content_type="application/json"
    )

    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["details"][0]["field"] == "departsAt"


def test_a_body_where_none_is_wanted_does_no_harm(client: FlaskClient, john: Headers) -> None:
    made = client.post(TASKS, json={"taskType": "data_export", "parameters": {}}, headers=john)
    assert made.json is not None
    path = f"{TASKS}/{made.json['task']['taskId']}/cancel"

    assert client.post(path, data=b"\x00" * 100, headers=john).status_code == 202
