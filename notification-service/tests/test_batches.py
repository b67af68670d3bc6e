"""Batches of notifications: each is created, replayed or refused for itself."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from app.models import Notification
from app.services import Services
from common.pyportal_common.testing.kit import json_of, problem_of, statements_of
from common.pyportal_common.testing.service_checks import MALFORMED

from .conftest import NOTE, WELCOME, Headers
from .sender import NOTIFICATIONS, SERVICE, Sender

BATCH = f"{NOTIFICATIONS}/batch"

Json = dict[str, Any]


def note(number: int) -> Json:
    return {**NOTE, "recipient": f"user{number}@example.com", "subject": f"Gate {number}"}


def batch(*notifications: Json, prefix: str = "key") -> Json:
    keyed = enumerate(notifications)
    return {"items": [{"idempotencyKey": f"{prefix}-{n}", "notification": x} for n, x in keyed]}


def post(client: FlaskClient, body: Json) -> list[Json]:
    """Send a batch that is accepted, and return its results."""
    response = client.post(BATCH, json=body, headers=SERVICE)
    assert response.status_code == 200, response.text
    items: list[Json] = json_of(response)["items"]
    return items


def outcomes(results: list[Json]) -> list[tuple[str, int]]:
    return [(result["outcome"], result["status"]) for result in results]


def stored(services: Services) -> int:
    with services.database.read() as tx:
        return tx.scalar(select(func.count()).select_from(Notification)) or 0


def test_every_notification_is_created_and_delivered(
    client: FlaskClient, sender: Sender, services: Services
) -> None:
    results = post(client, batch(note(1), WELCOME, note(2)))

    assert outcomes(results) == [("created", 202)] * 3
    sender.deliver()
    for result in results:
        shown = json_of(client.get(f"{NOTIFICATIONS}/{result['notificationId']}", headers=SERVICE))
        assert shown["notification"]["status"] == "sent"
        assert shown["notification"]["source"] == "usermanagement"
    assert stored(services) == 3


def test_a_repeated_batch_is_replayed(client: FlaskClient, services: Services) -> None:
    first = post(client, batch(note(1), note(2)))
    second = post(client, batch(note(1), note(2), note(3)))

    assert outcomes(second) == [("replayed", 202), ("replayed", 202), ("created", 202)]
    ids = [result["notificationId"] for result in (*first, *second)]
    assert ids[:2] == ids[2:4]
    assert stored(services) == 3


def test_a_key_is_the_same_in_a_batch_and_in_a_request_of_its_own(
    client: FlaskClient, services: Services
) -> None:
    alone = client.post(NOTIFICATIONS, json=note(1), headers=SERVICE | {"Idempotency-Key": "key-0"})
    results = post(client, batch(note(1), note(2)))
    again = client.post(NOTIFICATIONS, json=note(2), headers=SERVICE | {"Idempotency-Key": "key-1"})

    assert outcomes(results) == [("replayed", 202), ("created", 202)]
    assert results[0]["notificationId"] == json_of(alone)["notification"]["notificationId"]
    assert results[1]["notificationId"] == json_of(again)["notification"]["notificationId"]
    assert stored(services) == 2


@pytest.mark.parametrize(
    ("bad", "status", "field"),
    [
        ({}, 422, "channel"),
        ({**NOTE, "subject": 7}, 422, "subject"),
        ({**NOTE, "recipient": "nobody"}, 422, "recipient"),
        ({**NOTE, "more": 1}, 422, "more"),
        ({**NOTE, "recipient": "a@example.com", "message": "a\0b"}, 422, "message"),
        ({**WELCOME, "data": {}}, 422, "data.username"),
        (NOTE, 403, "recipient"),
        ({**NOTE, "channel": "webhook", "recipient": "https://example.com/x"}, 403, "recipient"),
    ],
)
def test_a_refused_notification_affects_no_other(
    client: FlaskClient, services: Services, bad: Json, status: int, field: str
) -> None:
    results = post(client, batch(note(1), bad, note(2)))

    assert outcomes(results) == [("created", 202), ("refused", status), ("created", 202)]
    assert results[1]["error"]
    assert field in [detail["field"] for detail in results[1]["details"]]
    assert results[1]["notificationId"] is None
    assert stored(services) == 2


def test_a_key_of_another_notification_is_refused(client: FlaskClient, services: Services) -> None:
    post(client, batch(note(1)))

    results = post(client, batch(note(2), note(3)))

    assert outcomes(results) == [("refused", 422), ("created", 202)]
    assert results[0]["details"][0]["field"] == "Idempotency-Key"
    assert stored(services) == 2


def test_a_key_that_is_given_twice_is_created_once(client: FlaskClient, services: Services) -> None:
    body = batch(note(1), note(1), note(2))
    body["items"][1]["idempotencyKey"] = "key-0"

    assert outcomes(post(client, body)) == [("created", 202), ("replayed", 202), ("created", 202)]
    assert stored(services) == 2


def test_equal_batches_at_the_same_time_create_each_notification_once(
    app: Flask, services: Services
) -> None:
    body = batch(*map(note, range(20)))

    def send(_: int) -> list[Json]:
        return post(app.test_client(use_cookies=False), body)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(send, range(4)))

    assert stored(services) == 20
    assert {tuple(each["notificationId"] for each in result) for result in results} == {
        tuple(each["notificationId"] for each in results[0])
    }
    created = [each for result in results for each in result if each["outcome"] == "created"]
    assert len(created) == 20


def test_a_batch_that_is_not_one_is_refused_as_a_whole(
    client: FlaskClient, services: Services
) -> None:
    too_many = batch(*map(note, range(101)))
    for body, field in (
        ({}, "items"),
        ({"items": []}, "items"),
        (too_many, "items"),
        ({"items": [{"idempotencyKey": "a b", "notification": NOTE}]}, "items.0.idempotencyKey"),
        ({"items": [{"idempotencyKey": "", "notification": NOTE}]}, "items.0.idempotencyKey"),
        ({"items": [{"notification": NOTE}]}, "items.0.idempotencyKey"),
        ({"items": [{"idempotencyKey": "a", "notification": []}]}, "items.0.notification"),
    ):
        assert problem_of(client.post(BATCH, json=body, headers=SERVICE)) == (422, [field])
    long = batch(*({**note(n), "message": "x" * 10_000} for n in range(100)))
    long["items"] *= 2
    assert client.post(BATCH, json=long, headers=SERVICE).status_code == 413
    assert stored(services) == 0


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_json_is_a_400(client: FlaskClient, data: bytes) -> None:
    headers = SERVICE | {"Content-Type": "application/json"}

    assert problem_of(client.post(BATCH, data=data, headers=headers)) == (400, ["body"])


def test_another_content_type_is_a_415(client: FlaskClient) -> None:
    assert client.post(BATCH, data="{}", headers=SERVICE).status_code == 415


def test_it_is_for_services_only(client: FlaskClient, john: Headers, services: Services) -> None:
    for headers in (john, {}, {"X-Service-Token": "x" * 26}):
        assert client.post(BATCH, json=batch(note(1)), headers=headers).status_code == 401
    assert stored(services) == 0


def test_a_batch_is_one_transaction_of_few_statements(
    client: FlaskClient, services: Services
) -> None:
    post(client, batch(note(0), prefix="warm-up"))
    statements = statements_of(services.database)
    commits: list[int] = []
    event.listen(services.database.engine, "commit", lambda _: commits.append(1))

    post(client, batch(*map(note, range(100))))

    assert len(commits) == 1
    assert len(statements) <= 5, statements
