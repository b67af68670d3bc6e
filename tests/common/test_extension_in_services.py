"""The Flask extension in a service: it has the service's stores and error bodies."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RateLimit, RedisClient, SessionStore, Stores
from common.pyportal_common.extension import Portal
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web import login_required, rate_limit

portal = Portal()


class Limits(ServiceSettings):
    """One limit."""

    rate_limit_many: RateLimit = RateLimit("many", 50, 60)


@pytest.fixture
def stores(redis_client: RedisClient) -> Stores:
    return Stores.of("test", redis_client, SessionStore(redis_client))


@pytest.fixture
def app(make_service: Callable[..., Flask], stores: Stores) -> Flask:
    app = make_service(Limits.load(), stores=stores)

    @app.get("/own")
    @rate_limit("many")
    @login_required()
    @portal.limit("1/minute", by="user")
    def own() -> str:
        return str(price(7))

    return app


@portal.cached("price:{product}", ttl=60)
def price(product: int) -> int:
    return 100 + product


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


def test_it_has_the_stores_of_the_service(app: Flask, stores: Stores) -> None:
    with app.app_context():
        assert portal.cache is stores.cache
        assert portal.limiter is stores.limiter
        assert portal.sessions is stores.sessions


def test_cached_functions_and_limits_by_user_work(
    client: FlaskClient, stores: Stores, redis_client: RedisClient
) -> None:
    john, jane = (bearer(stores.sessions.create(user_id, {}).session_id) for user_id in (7, 8))

    responses = [client.get("/own", headers=headers) for headers in (john, john, jane)]

    assert [response.status_code for response in responses] == [200, 429, 200]
    assert redis_client.get("price:7") == responses[0].text == "107"
    assert responses[0].headers["X-RateLimit-Limit"] == "1"  # the closest of all


def test_a_429_is_that_of_the_service(client: FlaskClient, stores: Stores) -> None:
    headers = bearer(stores.sessions.create(7, {}).session_id)
    client.get("/own", headers=headers)

    response = client.get("/own", headers=headers | {"Accept": "application/problem+json"})

    assert response.status_code == 429
    assert json.loads(response.text)["type"] == "/problems/rate-limit-exceeded"
    assert "request_id" in response.text
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert "RateLimit" not in response.headers
    assert response.headers["Retry-After"]
