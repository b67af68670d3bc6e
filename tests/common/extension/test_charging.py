"""Limits and the session of a request in one round trip."""

from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient, keys
from common.pyportal_common.extension import Portal, header
from common.pyportal_common.redis_server import RedisServer

from ..round_trips import round_trips
from .conftest import MakeApp


@pytest.fixture
def app(portal: Portal, make_app: MakeApp) -> Flask:
    return serve(portal, make_app(PORTAL_SESSION=True))


def serve(portal: Portal, app: Flask) -> Flask:
    """Add views that log in and out, and some with limits."""

    @app.get("/login/<int:user_id>")
    def log_in(user_id: int) -> str:
        portal.login(user_id)
        return "ok"

    @app.get("/logout")
    def log_out() -> str:
        portal.logout()
        return "ok"

    @app.get("/visit")
    def visit() -> str:
        session["visited"] = True
        return "ok"

    @app.get("/address")
    @portal.limit("3/minute; 100/hour")
    @portal.limit("50/minute", by=header("X-Tenant"))
    def by_address() -> dict[str, Any]:
        return {"user": portal.user_id}

    @app.get("/user")
    @portal.limit("3/minute", by="user")
    @portal.limit("100/minute")
    def by_user() -> dict[str, Any]:
        return {"user": portal.user_id}

    @app.get("/unused")
    @portal.limit("3/minute")
    def unused() -> str:
        return "ok"

    @app.get("/cost")
    @portal.limit("3/minute", by="user")
    @portal.limit("100/minute", cost=lambda: session.get("cost", 1))
    def by_cost() -> dict[str, Any]:
        return {"user": portal.user_id}

    return app


def logged_in(app: Flask, user_id: int = 7) -> FlaskClient:
    client = app.test_client()
    client.get(f"/login/{user_id}")
    return client


@pytest.mark.usefixtures("own_commands_only")
@pytest.mark.parametrize("path", ["/address", "/user", "/unused", "/cost"])
def test_a_limited_view_and_its_session_take_one_round_trip(
    app: Flask, redis_client: RedisClient, path: str
) -> None:
    client = logged_in(app)
    client.get(path)  # loads the scripts; the process learns whose session it is

    def read() -> None:
        assert client.get(path).status_code == 200

    assert round_trips(redis_client, read) == (2 if path == "/cost" else 1)


@pytest.mark.usefixtures("own_commands_only")
def test_a_user_who_is_new_to_the_process_takes_two(app: Flask, redis_client: RedisClient) -> None:
    logged_in(app).get("/user")
    others = iter([logged_in(app, 8), logged_in(app, 9)])

    assert round_trips(redis_client, lambda: next(others).get("/user")) == 2


@pytest.mark.parametrize(("path", "vary"), [("/unused", None), ("/address", "Cookie")])
def test_only_a_response_that_depends_on_the_session_varies_by_cookie(
    app: Flask, path: str, vary: str | None
) -> None:
    assert logged_in(app).get(path).headers.get("Vary") == vary


def test_a_limit_by_user_makes_the_response_vary_by_cookie(portal: Portal, app: Flask) -> None:
    @app.get("/only-limited")
    @portal.limit("3/minute", by="user")
    def view() -> str:
        return "ok"

    assert logged_in(app).get("/only-limited").headers["Vary"] == "Cookie"


@pytest.mark.parametrize("path", ["/address", "/user", "/cost"])
def test_the_view_has_the_session_that_was_loaded(app: Flask, path: str) -> None:
    client = logged_in(app)

    assert [client.get(path).json for _ in range(2)] == [{"user": 7}] * 2


@pytest.mark.parametrize("path", ["/user", "/cost"])
def test_users_are_counted_and_visitors_by_their_address(app: Flask, path: str) -> None:
    first, again, second = logged_in(app), logged_in(app), logged_in(app, 8)
    visitors = [app.test_client() for _ in range(3)]
    for visitor in visitors[1:]:
        visitor.get("/visit")  # begins a session

    assert [client.get(path).status_code for client in (first, again, first)] == [200] * 3
    assert again.get(path).status_code == 429
    assert second.get(path).status_code == 200
    assert [visitor.get(path).status_code for visitor in visitors] == [200] * 3
    assert [visitor.get(path).status_code for visitor in visitors] == [429] * 3


def test_a_session_that_ended_elsewhere_counts_for_nobody(
    app: Flask, redis_client: RedisClient
) -> None:
    client = logged_in(app)
    cookie = client.get_cookie("session")
    assert cookie is not None
    client.get("/user")
    redis_client.delete(keys.session(cookie.value))

    responses = [client.get("/user") for _ in range(4)]

    assert [response.status_code for response in responses] == [200] * 3 + [429]
    assert responses[0].json == {"user": None}
    assert responses[0].headers["X-RateLimit-Remaining"] == "2"


def test_a_refused_request_does_not_reset_the_idle_timeout(
    app: Flask, redis_client: RedisClient
) -> None:
    client = logged_in(app)
    for _ in range(3):
        client.get("/unused")
    (key,) = redis_client.scan("session:*")
    redis_client.expire(key, 100)

    assert client.get("/unused").status_code == 429
    assert redis_client.ttl(key) <= 100


def test_limits_that_need_no_user_hold_without_redis(
    portal: Portal, make_app: MakeApp, own_redis: RedisServer
) -> None:
    app = serve(portal, make_app(PORTAL_SESSION=True, REDIS_URL=own_redis.url))
    client = logged_in(app)
    own_redis.kill()

    assert [client.get("/unused").status_code for _ in range(4)] == [200] * 3 + [429]
    assert client.get("/user").status_code == 503
    assert client.get("/address").status_code == 503  # the view uses the session
