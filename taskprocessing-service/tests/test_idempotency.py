"""POST /tasks with `Idempotency-Key` creates one task, whatever is repeated or crashes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app.models import Task
from app.services import Services
from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.db.idempotency import KEYS
from common.pyportal_common.testing.kit import json_of, run_schedule, session_headers

from .conftest import EXPORT, TASKS, Headers, MakeApp, Portal, services_of

KEY = {"Idempotency-Key": "0f6f1a38-4d4d-4c05-9d2b-5e3b1d0c9a11"}
OTHER = EXPORT | {"priority": "low"}


def tasks_in(services: Services) -> int:
    with services.database.read() as tx:
        return tx.scalar(select(func.count()).select_from(Task)) or 0


def keys_in(services: Services) -> int:
    with services.database.read() as tx:
        return tx.scalar(select(func.count()).select_from(KEYS)) or 0


@pytest.fixture
def first(client: FlaskClient, john: Headers) -> TestResponse:
    """The response to the first request with the key."""
    return client.post(TASKS, json=EXPORT, headers=john | KEY)


def test_repeated_request_gets_the_same_response(
    portal: Portal, john: Headers, first: TestResponse
) -> None:
    portal.run_tasks()

    again = portal.client.post(TASKS, json=EXPORT, headers=john | KEY)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.data == first.data
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert tasks_in(portal.services) == 1


@pytest.mark.usefixtures("first")
def test_it_has_every_header_that_openapi_requires(client: FlaskClient, john: Headers) -> None:
    again = client.post(TASKS, json=EXPORT, headers=john | KEY)

    paths = json_of(client.get("/openapi.json"))["paths"]
    headers = paths[TASKS]["post"]["responses"]["202"]["headers"]
    required = {name for name, header in headers.items() if header.get("required")}
    assert "Location" in required
    assert required <= set(again.headers.keys())


def test_fifty_concurrent_requests_create_one_task(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_MAX_CONNECTIONS", "50")
    monkeypatch.setenv("REDIS_READ_TIMEOUT", "5")
    app = make_app()
    john = session_headers(7)

    def create(_: int) -> TestResponse:
        return app.test_client().post(TASKS, json=EXPORT, headers=john | KEY)

    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(create, range(50)))

    assert tasks_in(services_of(app)) == 1
    assert {response.status_code for response in responses} <= {202, 409}
    assert len({response.data for response in responses if response.status_code == 202}) == 1


def test_keys_of_two_users_are_independent(portal: Portal, john: Headers, jane: Headers) -> None:
    for headers in (john, jane):
        portal.create(headers | KEY)

    assert tasks_in(portal.services) == 2


@pytest.mark.usefixtures("first")
def test_another_body_is_a_422(client: FlaskClient, services: Services, john: Headers) -> None:
    response = client.post(TASKS, json=OTHER, headers=john | KEY)

    assert response.status_code == 422
    assert json_of(response)["details"][0]["field"] == "Idempotency-Key"
    assert tasks_in(services) == 1


def test_losing_all_of_redis_loses_no_key(
    portal: Portal, john: Headers, first: TestResponse
) -> None:
    get_redis_client(1).execute("FLUSHALL")

    again = portal.client.post(TASKS, json=EXPORT, headers=session_headers(7) | KEY)

    assert john != {}  # that session is gone
    assert again.data == first.data
    assert tasks_in(portal.services) == 1


@pytest.mark.usefixtures("first")
def test_after_a_day_the_key_can_be_reused(portal: Portal, john: Headers) -> None:
    with portal.services.database.begin() as tx:
        tx.execute(update(KEYS).values(created_at=datetime.now(UTC) - timedelta(hours=24)))

    portal.create(john | KEY, OTHER)

    assert tasks_in(portal.services) == 2


@pytest.mark.usefixtures("first")
def test_housekeeping_deletes_keys_after_a_day(services: Services) -> None:
    run_schedule(services, "delete-old-keys")
    assert keys_in(services) == 1
    with services.database.begin() as tx:
        tx.execute(update(KEYS).values(created_at=datetime.now(UTC) - timedelta(hours=24)))

    run_schedule(services, "delete-old-keys")

    assert keys_in(services) == 0


@pytest.mark.usefixtures("first")
def test_deleting_the_user_deletes_the_kept_responses(
    portal: Portal, jane: Headers, services: Services
) -> None:
    portal.create(jane | KEY)

    services.tasks.anonymise(7)

    assert keys_in(services) == 1


@pytest.mark.usefixtures("first")
def test_only_a_digest_of_the_key_is_stored(services: Services) -> None:
    with services.database.read() as tx:
        (row,) = tx.execute(select(KEYS)).all()

    assert KEY["Idempotency-Key"] not in str(row)
    assert row.scope == "tasks.create_task/user=7"
