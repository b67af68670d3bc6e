"""PORTAL_DEFAULT_LIMITS and PORTAL_APPLICATION_LIMITS: the limits of all views."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, request
from flask.views import MethodView

from common.pyportal_common.extension import Portal

from .conftest import MakeApp


def add_views(app: Flask, portal: Portal) -> None:
    app.add_url_rule("/one", "one", lambda: "one")
    app.add_url_rule("/two", "two", lambda: "two")
    app.add_url_rule("/own", "own", portal.limit("3/minute")(lambda: "own"))
    app.add_url_rule("/health", "health", portal.exempt(lambda: "well"))


def statuses(app: Flask, path: str, count: int, **options: Any) -> list[int]:
    client = app.test_client()
    found = []
    for _ in range(count):
        with client.open(path, **options) as response:
            found.append(response.status_code)
    return found


def test_each_view_has_the_default_limits_unless_it_has_its_own(
    portal: Portal, make_app: MakeApp
) -> None:
    app = make_app(PORTAL_DEFAULT_LIMITS="2/minute; 100/hour")
    add_views(app, portal)

    assert statuses(app, "/one", 3) == [200, 200, 429]
    assert statuses(app, "/two", 3) == [200, 200, 429]
    assert statuses(app, "/own", 4) == [200, 200, 200, 429]
    assert statuses(app, "/health", 9) == [200] * 9
    assert statuses(app, "/one", 1, environ_base={"REMOTE_ADDR": "10.0.0.9"}) == [200]


def test_all_views_share_the_limits_of_the_application(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(PORTAL_APPLICATION_LIMITS="4/minute")
    add_views(app, portal)

    assert statuses(app, "/own", 4) == [200, 200, 200, 429]  # which counted for neither
    assert statuses(app, "/one", 2) == [200, 429]
    assert statuses(app, "/two", 1) == [429]
    assert statuses(app, "/health", 1) == [200]


def test_an_exempt_view_keeps_its_own_limits(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(PORTAL_APPLICATION_LIMITS="1/minute")
    app.add_url_rule("/", "index", portal.exempt(portal.limit("2/minute")(lambda: "ok")))
    app.add_url_rule("/other", "other", portal.limit("2/minute")(portal.exempt(lambda: "ok")))

    assert statuses(app, "/", 3) == [200, 200, 429]
    assert statuses(app, "/other", 3) == [200, 200, 429]


@pytest.mark.parametrize("path", ["/one", "/own"])
def test_all_limits_of_a_request_are_one_round_trip(
    portal: Portal, make_app: MakeApp, path: str
) -> None:
    app = make_app(PORTAL_DEFAULT_LIMITS="9/minute", PORTAL_APPLICATION_LIMITS="9/minute")
    add_views(app, portal)
    app.test_client().get(path)
    with app.app_context():
        client = portal.limiter.client
        before = client.execute("INFO", "commandstats")["cmdstat_evalsha"]["calls"]
        response = app.test_client().get(path)
        after = client.execute("INFO", "commandstats")["cmdstat_evalsha"]["calls"]

    assert after == before + 1
    assert len(response.headers["RateLimit-Policy"].split(",")) == 2


def test_requests_without_a_view_are_not_counted(
    portal: Portal, make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(PORTAL_DEFAULT_LIMITS="1/minute", PORTAL_APPLICATION_LIMITS="1/minute")
    add_views(app, portal)
    (tmp_path / "app.css").write_text("")
    app.static_folder = str(tmp_path)
    app.register_blueprint(
        Blueprint("shop", __name__, static_folder=str(tmp_path), static_url_path="/files")
    )

    for path in ("/static/app.css", "/files/app.css"):
        assert statuses(app, path, 2) == [200, 200]
    assert statuses(app, "/nowhere", 2) == [404, 404]
    assert statuses(app, "/one", 2, method="POST") == [405, 405]
    assert statuses(app, "/one", 2, method="OPTIONS") == [200, 200]
    assert statuses(app, "/one", 2) == [200, 429]


def test_a_method_of_a_class_may_have_its_own_limit(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(PORTAL_DEFAULT_LIMITS="1/minute")

    class Orders(MethodView):
        @portal.limit("2/minute")
        def get(self) -> str:
            return "orders"

        def post(self) -> str:
            return "ordered"

    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))

    assert statuses(app, "/orders", 3) == [200, 200, 429]
    assert statuses(app, "/orders", 1, method="HEAD") == [429]
    assert statuses(app, "/orders", 2, method="POST") == [200, 429]


def test_a_method_of_a_class_may_be_exempt(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(PORTAL_DEFAULT_LIMITS="1/minute", PORTAL_APPLICATION_LIMITS="2/minute")

    class Orders(MethodView):
        @portal.exempt
        def get(self) -> str:
            return "orders"

        def post(self) -> str:
            return "ordered"

    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))

    assert statuses(app, "/orders", 5) == [200] * 5
    assert statuses(app, "/orders", 2, method="POST") == [200, 429]


def test_a_view_that_is_called_static_is_counted(make_app: MakeApp) -> None:
    app = make_app(PORTAL_DEFAULT_LIMITS="1/minute")
    pages = Blueprint("pages", __name__)
    pages.add_url_rule("/page", "static", lambda: "page")
    app.register_blueprint(pages)

    assert statuses(app, "/page", 2) == [200, 429]


def test_a_decorator_that_responds_first_is_counted(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(PORTAL_APPLICATION_LIMITS="2/minute")

    def refused(view: Callable[..., str]) -> Callable[..., str]:
        return wraps(view)(lambda: abort(401) if "key" not in request.args else view())

    @app.get("/")
    @refused
    @portal.limit("9/minute")
    def index() -> str:
        return "ok"

    class Orders(MethodView):
        decorators = [refused]  # noqa: RUF012  as Flask declares it

        @portal.limit("9/minute")
        def get(self) -> str:
            return "orders"

    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))

    assert statuses(app, "/", 3) == [401, 401, 429]
    assert statuses(app, "/orders", 1) == [429]
    other = {"environ_base": {"REMOTE_ADDR": "10.0.0.9"}}
    assert statuses(app, "/?key=1", 1, **other) == [200]
    assert statuses(app, "/orders?key=1", 2, **other) == [200, 429]  # once for each request


@pytest.mark.parametrize("option", ["cost", "by", "exempt"])
def test_a_function_of_a_limit_that_fails_is_counted(
    portal: Portal, make_app: MakeApp, option: str
) -> None:
    app = make_app(PORTAL_APPLICATION_LIMITS="2/minute")
    options: dict[str, Any] = {option: lambda: abort(415)}
    app.add_url_rule("/", "index", portal.limit("9/minute", **options)(lambda: "ok"))

    assert statuses(app, "/", 3) == [415, 415, 429]


def test_an_app_without_them_sends_nothing(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(REDIS_URL="redis://127.0.0.1:1")
    add_views(app, portal)

    response = app.test_client().get("/one")

    assert response.status_code == 200
    assert "RateLimit" not in response.headers


def test_limits_can_be_switched_off(portal: Portal, make_app: MakeApp) -> None:
    limits = {"PORTAL_DEFAULT_LIMITS": "1/minute", "PORTAL_APPLICATION_LIMITS": "1/minute"}
    app = make_app(PORTAL_LIMITS_ENABLED=False, **limits)
    add_views(app, portal)

    assert statuses(app, "/one", 2) == [200, 200]
    assert statuses(app, "/own", 5) == [200] * 5
    headers = app.test_client().get("/own").headers
    assert "X-RateLimit-Limit" not in headers
    assert "RateLimit" not in headers


def test_a_view_sees_the_decision_of_the_closest_limit(portal: Portal, make_app: MakeApp) -> None:
    app = make_app(PORTAL_APPLICATION_LIMITS="9/minute")

    @app.get("/limited")
    @portal.limit("5/minute")
    def limited() -> list[int | str]:
        decision = portal.decision
        assert decision is not None
        return [decision.rate_limit, decision.remaining]

    @app.get("/free")
    @portal.exempt
    def free() -> str:
        return str(portal.decision)

    client = app.test_client()
    assert [client.get("/limited").json for _ in range(2)] == [["limited", 4], ["limited", 3]]
    assert client.get("/free").text == "None"
