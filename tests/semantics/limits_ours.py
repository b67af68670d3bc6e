"""What Flask-Limiter documents, on the extension."""
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import os
import time

from flask import Blueprint, Flask, jsonify, request
from flask.views import MethodView

from common.pyportal_common.cache_handlers import Charge, RateLimit
from common.pyportal_common.extension import Portal, header
from tests.semantics.views import statuses, views

_URL = os.environ["REDIS_URL"]
_DEAD = "redis://127.0.0.1:1"


def _app(url=_URL, **config):
    app = Flask("app")
    app.config.update(REDIS_URL=url, **config)
    return app, Portal(app)


def a_request_over_the_limit_is_refused():
    app, portal = _app()
    views(app, portal.limit("2/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def endpoints_have_their_own_counts():
    app, portal = _app()
    views(app, portal.limit("1/minute"))
    return statuses(app, "GET /a", "GET /b", "GET /a", "GET /b")


def a_shared_limit_counts_its_endpoints_together():
    app, portal = _app()
    views(app, portal.limit("1/minute", name="both"))
    return statuses(app, "GET /a", "GET /b")


def several_limits_all_apply():
    app, portal = _app()
    views(app, portal.limit("100/hour; 2/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def decorators_add_up():
    app, portal = _app()
    views(app, portal.limit("100/hour"), portal.limit("2/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def a_limit_can_be_a_function():
    app, portal = _app()
    views(app, portal.limit(lambda: "1/minute"))
    return statuses(app, "GET /a", "GET /a")


def an_exempt_request_is_not_counted():
    app, portal = _app()
    views(app, portal.limit("1/minute", exempt=lambda: "X-Staff" in request.headers))
    staff = ("GET /a", {"X-Staff": "yes"})
    return statuses(app, staff, staff, "GET /a", "GET /a", staff)


def methods_can_be_chosen():
    app, portal = _app()
    views(app, portal.limit("1/minute", methods=["POST"]))
    return statuses(app, "POST /a", "POST /a", "GET /a", "GET /a")


def methods_can_have_their_own_counts():
    app, portal = _app()
    views(
        app,
        portal.limit("1/minute", methods=["GET"]),
        portal.limit("1/minute", methods=["POST"]),
    )
    return statuses(app, "POST /a", "GET /a", "POST /a", "GET /a")


def a_request_can_cost_more():
    app, portal = _app()
    views(app, portal.limit("5/minute", cost=2))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def a_cost_can_be_a_function():
    app, portal = _app()
    views(app, portal.limit("5/minute", cost=lambda: int(request.headers["X-Cost"])))
    return statuses(app, ("GET /a", {"X-Cost": "4"}), ("GET /a", {"X-Cost": "2"}))


def a_cost_over_the_limit_is_refused():
    app, portal = _app()
    views(app, portal.limit("5/minute", cost=9))
    return statuses(app, "GET /a", "GET /a")


def a_refused_request_costs_something():
    app, portal = _app()
    views(app, portal.limit("5/minute", cost=lambda: int(request.headers["X-Cost"])))
    return statuses(app, *(("GET /a", {"X-Cost": cost}) for cost in ("4", "2", "1")))


def one_limit_is_charged_though_another_refuses():
    app, portal = _app()
    shared = portal.limit("3/minute", name="both")
    views(app, shared, portal.limit("1/hour"), paths=["/a"])
    views(app, shared, paths=["/b"])
    return statuses(app, "GET /a", "GET /a", "GET /a", "GET /b")


def callers_are_counted_apart():
    app, portal = _app()
    views(app, portal.limit("1/minute", by=header("X-Api-Key")))
    one, two = ("GET /a", {"X-Api-Key": "1"}), ("GET /a", {"X-Api-Key": "2"})
    return statuses(app, one, two, one, two)


def a_caller_without_a_key_is_not_limited():
    app, portal = _app()
    views(app, portal.limit("1/minute", by=header("X-Api-Key")))
    return statuses(app, "GET /a", "GET /a")


def a_limit_of_the_application_counts_all_endpoints():
    app, _portal = _app(PORTAL_APPLICATION_LIMITS="2/minute")
    views(app)
    return statuses(app, "GET /a", "GET /b", "GET /a")


def a_view_can_be_exempt():
    app, portal = _app(PORTAL_APPLICATION_LIMITS="1/minute")
    views(app, paths=["/a"])
    views(app, portal.exempt, paths=["/b"])
    return statuses(app, "GET /b", "GET /a", "GET /b", "GET /a")


def default_limits_apply_where_a_view_has_none():
    app, portal = _app(PORTAL_DEFAULT_LIMITS="1/minute")
    views(app, paths=["/a", "/b"])
    views(app, portal.limit("2/minute"), paths=["/c"])
    return statuses(app, "GET /a", "GET /a", "GET /b", "GET /c", "GET /c", "GET /c")


def a_filter_exempts_requests_everywhere():
    app, portal = _app()
    limit = portal.limit("1/minute", name="app", exempt=lambda: "X-Staff" in request.headers)
    app.before_request(limit(lambda: None))
    views(app)
    return statuses(app, "GET /a", "GET /a", ("GET /a", {"X-Staff": "yes"}))


def a_blueprint_can_be_limited():
    app, portal = _app()
    pages = Blueprint("pages", __name__)
    views(pages)
    pages.before_request(portal.limit("1/minute")(lambda: None))
    app.register_blueprint(pages)
    return statuses(app, "GET /a", "GET /b", "GET /a")


def a_view_class_can_be_limited():
    app, portal = _app()

    class Page(MethodView):
        decorators = [portal.limit("1/minute")]  # noqa: RUF012

        def get(self):
            return "page"

    app.add_url_rule("/a", view_func=Page.as_view("a"))
    return statuses(app, "GET /a", "GET /a")


def a_block_can_be_limited():
    app, portal = _app()
    work = RateLimit("work", limit=1, window=60)

    @app.get("/a")
    def a():
        if portal.limiter.hit(Charge(work, str(request.remote_addr))).allowed:
            return "done"
        return "later", 202

    return statuses(app, "GET /a", "GET /a")


def headers_say_what_is_left():
    app, portal = _app()
    views(app, portal.limit("2/minute"))
    headers = app.test_client().get("/a").headers
    return [headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]]


def the_reset_header_is_a_time():
    app, portal = _app()
    views(app, portal.limit("2/minute"))
    reset = int(app.test_client().get("/a").headers["X-RateLimit-Reset"])
    return "a time" if reset > time.time() - 60 else "seconds"


def every_response_has_retry_after():
    app, portal = _app()
    views(app, portal.limit("1/minute"))
    client = app.test_client()
    return ["Retry-After" in client.get("/a").headers for _ in range(2)]


def headers_are_sent_by_default():
    app, portal = _app()
    views(app, portal.limit("1/minute"))
    return "X-RateLimit-Limit" in app.test_client().get("/a").headers


def an_error_handler_makes_the_429():
    app, portal = _app()
    views(app, portal.limit("1/minute"))
    app.register_error_handler(429, lambda error: (jsonify(error="slow down"), 429))
    client = app.test_client()
    client.get("/a")
    return client.get("/a").json


def a_limit_can_have_its_own_message():
    app, portal = _app()
    views(app, portal.limit("1/minute"))
    app.register_error_handler(429, lambda error: ("slow down", 429))
    client = app.test_client()
    client.get("/a")
    return "slow down" in client.get("/a").text


def a_wrong_rate_is_found_at_once():
    app, portal = _app()
    try:
        views(app, portal.limit("5/fortnight"))
    except ValueError:
        return "when it is declared"
    return statuses(app, "GET /a")


def without_redis_a_limited_view_fails():
    app, portal = _app(_DEAD)
    views(app, portal.limit("1/minute"))
    return statuses(app, "GET /a")


def memory_can_take_over_without_redis():
    app, portal = _app(_DEAD)
    views(app, portal.limit("1/minute", on_error="local"))
    return statuses(app, "GET /a", "GET /a")


def errors_can_be_swallowed_without_redis():
    app, portal = _app(_DEAD)
    views(app, portal.limit("1/minute", on_error="open"))
    return statuses(app, "GET /a", "GET /a")


def limits_can_be_switched_off():
    app, portal = _app(PORTAL_LIMITS_ENABLED=False)
    views(app, portal.limit("1/minute"))
    return statuses(app, "GET /a", "GET /a")


def a_view_can_see_its_limit():
    app, portal = _app()

    @app.get("/a")
    @portal.limit("5/minute")
    def a():
        return {"remaining": portal.decision.remaining}

    return app.test_client().get("/a").json


def all_limits_can_be_reset():
    app, portal = _app()
    views(app, portal.limit("1/minute"))
    before = statuses(app, "GET /a", "GET /a")
    with app.app_context():
        portal.limiter.clear("address:127.0.0.1")
    return before + statuses(app, "GET /a")
