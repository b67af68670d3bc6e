"""/livez, /readyz and /health, and the form of errors."""

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.redis_server import RedisServer


def test_all_is_well(client: FlaskClient) -> None:
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
    assert health.json is not None
    assert health.json["status"] == "degraded"
    assert client.get("/readyz").status_code == 200


def test_an_unknown_path_is_a_404_in_the_common_form(client: FlaskClient) -> None:
    answer = client.get("/api/v1/airliner/nothing")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["error"] == "Not Found"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
