"""Health checks, and what all routes have in common."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.redis_server import RedisServer

from .conftest import FLIGHTS, TASKS, Headers, Portal, json_of


def test_health_of_a_healthy_service(client: FlaskClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/health").json == {
        "service": "taskprocessing",
        "status": "ok",
        "checks": {"redis": "ok", "database": "ok"},
    }


def test_without_redis_it_is_ready_and_degraded(
    make_app: Callable[..., Flask], own_redis: RedisServer
) -> None:
    client = make_app(redis_url=own_redis.url).test_client()
    own_redis.kill()

    health = client.get("/health")

    assert health.status_code == 200
    assert json_of(health)["status"] == "degraded"
    assert client.get("/readyz").status_code == 200


def test_unknown_path_is_a_404_in_the_common_form(client: FlaskClient) -> None:
    response = client.get("/api/v1/airliner/nothing")

    assert response.status_code == 404
    assert json_of(response)["error"] == "Not Found"
    assert json_of(response)["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "path", [f"{TASKS}/1", f"{TASKS}/1/file", f"{FLIGHTS}/1", f"{FLIGHTS}/1/availability"]
)
def test_unknown_query_parameter_is_a_422(client: FlaskClient, john: Headers, path: str) -> None:
    response = client.get(f"{path}?userId=8", headers=john)

    assert response.status_code == 422
    assert json_of(response)["details"] == [{"field": "userId", "message": "Unknown parameter"}]


def test_personal_responses_are_not_stored_by_caches(portal: Portal, john: Headers) -> None:
    path = f"{TASKS}/{portal.create(john)['taskId']}"

    for url, expected in ((TASKS, "no-store"), (path, "private, no-cache")):
        response = portal.client.get(url, headers=john)
        assert response.headers["Cache-Control"] == expected
    portal.run_tasks()
    file = portal.client.get(f"{path}/file", headers=john)
    assert file.headers["Cache-Control"] == "private, no-store"
