"""`@rate_limit`: the limits of routes, charged with the session in one round trip."""

from collections.abc import Callable

import pytest
from flask import Blueprint, Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RateLimit,
    RedisClient,
    SessionStore,
    keys,
)
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web import current_session, login_required, rate_limit, reads
from common.pyportal_common.web.app import UnknownRateLimit, UserLimitWithoutLogin

from .round_trips import round_trips


class Limits(ServiceSettings):
    """Three limits."""

    rate_limit_address: RateLimit = RateLimit("address", 100, 60)
    rate_limit_user: RateLimit = RateLimit("user", 3, 60)
    rate_limit_daily: RateLimit = RateLimit("daily", 1000, 86_400)


@pytest.fixture
def app(make_service: Callable[..., Flask]) -> Flask:
    return make_service(Limits.load())


@pytest.fixture
def client(app: Flask, redis_client: RedisClient) -> FlaskClient:
    cache = Cache(redis_client)

    @app.get("/own")
    @rate_limit("address")
    @rate_limit("user", by="user")
    @rate_limit("daily", by="user")
    @login_required()
    def own() -> Response:
        return jsonify(user_id=current_session().user_id)

    @app.get("/cached/<id:item_id>")
    @rate_limit("address")
    @rate_limit("user", by="user")
    @login_required()
    @reads(keys.user)
    def cached(item_id: int) -> Response:
        key = keys.user(item_id)
        return jsonify(cache.get_or_load(key, lambda: {"id": item_id}, Policy(ttl=60)))

    @app.get("/undeclared")
    @rate_limit("address")
    @login_required()
    def undeclared() -> Response:
        return jsonify(cache.get_or_load("item:1", lambda: {"id": 1}, Policy(ttl=60)))

    @app.get("/unlimited")
    @login_required()
    def unlimited() -> Response:
        return jsonify(user_id=current_session().user_id)

    return app.test_client(use_cookies=False)


def log_in(redis_client: RedisClient, user_id: int) -> dict[str, str]:
    return bearer(SessionStore(redis_client).create(user_id, {}).session_id)


def test_each_user_has_a_separate_limit(client: FlaskClient, redis_client: RedisClient) -> None:
    john, jane = log_in(redis_client, 7), log_in(redis_client, 8)

    statuses = [client.get("/own", headers=john).status_code for _ in range(4)]
    hers = client.get("/own", headers=jane)

    assert statuses == [200, 200, 200, 429]
    assert hers.status_code == 200
    assert hers.headers["X-RateLimit-Limit"] == "3"
    assert hers.headers["X-RateLimit-Remaining"] == "2"


@pytest.mark.usefixtures("own_commands_only")
@pytest.mark.parametrize(
    ("path", "trips"), [("/unlimited", 1), ("/own", 1), ("/cached/1", 1), ("/undeclared", 2)]
)
def test_session_limits_and_a_declared_value_take_one_round_trip(
    client: FlaskClient, redis_client: RedisClient, path: str, trips: int
) -> None:
    headers = log_in(redis_client, 7)
    client.get(path, headers=headers)

    assert round_trips(redis_client, lambda: client.get(path, headers=headers)) == trips


def test_without_a_session_the_address_is_limited(
    client: FlaskClient, redis_client: RedisClient
) -> None:
    statuses = [client.get("/own").status_code for _ in range(101)]

    assert statuses == [401] * 100 + [429]
    assert list(redis_client.scan("rate_limit:test:user:*")) == []


def test_a_limit_that_the_settings_lack_is_refused_at_registration(app: Flask) -> None:
    @rate_limit("adress")
    def view() -> str:
        return ""

    with pytest.raises(UnknownRateLimit, match=r"/own .*'adress'.* address, daily, user$"):
        app.get("/own")(view)


def test_a_blueprint_with_such_a_route_is_refused(app: Flask) -> None:
    routes = Blueprint("own", __name__)

    @routes.get("/own")
    @rate_limit("adress")
    def view() -> str:
        return ""

    with pytest.raises(UnknownRateLimit, match=r"/own \(own\.view\) .*'adress'"):
        app.register_blueprint(routes)


def test_a_limit_by_user_on_a_route_without_login_is_refused_at_registration(app: Flask) -> None:
    @rate_limit("daily", by="user")
    def view() -> str:
        return ""

    with pytest.raises(UserLimitWithoutLogin, match="/everyone"):
        app.get("/everyone")(view)
