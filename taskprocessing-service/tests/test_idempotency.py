"""POST /tasks with an `Idempotency-Key`: one task, whatever is sent again and whoever dies."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.models import Task
from app.services import Services
from common.pyportal_common.cache_handlers import RedisClient

from .conftest import TASKS, logged_in, work_off

KEY = {"Idempotency-Key": "0f6f1a38-4d4d-4c05-9d2b-5e3b1d0c9a11"}
EXPORT: dict[str, Any] = {"taskType": "data_export", "parameters": {}}
RECORDS = "idempotency:taskprocessing:*"

Headers = dict[str, str]


def tasks_in(mine: Services) -> int:
    with mine.database.read() as tx:
        return tx.scalar(select(func.count()).select_from(Task)) or 0


def forget(redis_client: RedisClient) -> None:
    """Lose what Redis knows of keys, as a crash does between the COMMIT and the answer."""
    assert redis_client.delete(*redis_client.scan(RECORDS)) > 0


@pytest.fixture
def tasks_redis(redis_server: Any, connect: Callable[..., RedisClient]) -> RedisClient:
    client: RedisClient = connect(redis_server, db=1)
    return client


def test_the_same_request_again_gets_the_same_answer(
    client: FlaskClient, mine: Services, john: Headers
) -> None:
    first = client.post(TASKS, json=EXPORT, headers=john | KEY)
    work_off(mine)
    again = client.post(TASKS, json=EXPORT, headers=john | KEY)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.data == first.data
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert tasks_in(mine) == 1


def test_it_has_every_header_that_the_description_promises(
    client: FlaskClient, john: Headers
) -> None:
    client.post(TASKS, json=EXPORT, headers=john | KEY)
    again = client.post(TASKS, json=EXPORT, headers=john | KEY)

    described = client.get("/openapi.json").json
    assert described is not None
    headers = described["paths"][TASKS]["post"]["responses"]["202"]["headers"]
    promised = {name for name, header in headers.items() if header.get("required")}
    assert "Location" in promised
    assert promised <= set(again.headers.keys())


def test_fifty_at_once_make_one_task(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_MAX_CONNECTIONS", "50")
    monkeypatch.setenv("REDIS_READ_TIMEOUT", "5")
    app = make_app()
    john = logged_in(7)

    def ask(_: int) -> TestResponse:
        return app.test_client().post(TASKS, json=EXPORT, headers=john | KEY)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))

    assert tasks_in(app.extensions["taskprocessing"]) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.data for answer in answers if answer.status_code == 202}) == 1


def test_another_body_is_a_422(client: FlaskClient, mine: Services, john: Headers) -> None:
    client.post(TASKS, json=EXPORT, headers=john | KEY)

    answer = client.post(TASKS, json=EXPORT | {"priority": "low"}, headers=john | KEY)

    assert answer.status_code == 422
    assert tasks_in(mine) == 1


def test_anothers_key_is_another_key(
    client: FlaskClient, mine: Services, john: Headers, jane: Headers
) -> None:
    for headers in (john, jane):
        assert client.post(TASKS, json=EXPORT, headers=headers | KEY).status_code == 202

    assert tasks_in(mine) == 2


class TestAfterACrash:
    """Redis knows nothing of the key, and SQL has the task."""

    def test_the_task_is_found_by_its_key(
        self, client: FlaskClient, mine: Services, john: Headers, tasks_redis: RedisClient
    ) -> None:
        first = client.post(TASKS, json=EXPORT, headers=john | KEY)
        forget(tasks_redis)

        again = client.post(TASKS, json=EXPORT, headers=john | KEY)

        assert again.status_code == 202
        assert again.data == first.data
        assert tasks_in(mine) == 1

    def test_another_body_is_a_422_still(
        self, client: FlaskClient, mine: Services, john: Headers, tasks_redis: RedisClient
    ) -> None:
        client.post(TASKS, json=EXPORT, headers=john | KEY)
        forget(tasks_redis)

        answer = client.post(TASKS, json=EXPORT | {"priority": "low"}, headers=john | KEY)

        assert answer.status_code == 422
        assert answer.json is not None
        assert answer.json["details"][0]["field"] == "Idempotency-Key"
        assert tasks_in(mine) == 1

    def test_after_a_day_the_key_is_free(
        self, client: FlaskClient, mine: Services, john: Headers, tasks_redis: RedisClient
    ) -> None:
        client.post(TASKS, json=EXPORT, headers=john | KEY)
        forget(tasks_redis)
        with mine.database.begin() as tx:
            for task in tx.scalars(select(Task)):
                task.created_at -= timedelta(hours=24)

        answer = client.post(TASKS, json=EXPORT | {"priority": "low"}, headers=john | KEY)

        assert answer.status_code == 202
        assert tasks_in(mine) == 2


def test_nothing_of_the_key_is_kept_but_a_digest(
    client: FlaskClient, mine: Services, john: Headers
) -> None:
    client.post(TASKS, json=EXPORT, headers=john | KEY)

    with mine.database.read() as tx:
        stored = tx.scalars(select(Task.idempotency_key)).one()
    assert stored is not None
    assert KEY["Idempotency-Key"] not in stored
    assert len(stored) == 64
