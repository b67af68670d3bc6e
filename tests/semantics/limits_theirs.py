"""Flask-Limiter, used as its documents describe it."""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

import os
import time

from flask import Blueprint, Flask, jsonify, request
from flask.views import MethodView
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address

from tests.semantics.views import statuses, views

_URL = os.environ["REDIS_URL"]
_DEAD = "redis://127.0.0.1:1"


def _app(url=_URL, **options):
    app = Flask("app")
    options.setdefault("strategy", "moving-window")
    return app, Limiter(get_remote_address, app=app, storage_uri=url, **options)


def a_request_over_the_limit_is_refused():
    app, limiter = _app()
    views(app, limiter.limit("2/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def endpoints_have_their_own_counts():
    app, limiter = _app()
    views(app, limiter.limit("1/minute"))
    return statuses(app, "GET /a", "GET /b", "GET /a", "GET /b")


def a_shared_limit_counts_its_endpoints_together():
    app, limiter = _app()
    views(app, limiter.shared_limit("1/minute", scope="both"))
    return statuses(app, "GET /a", "GET /b")


def several_limits_all_apply():
    app, limiter = _app()
    views(app, limiter.limit("100/hour; 2/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def decorators_add_up():
    app, limiter = _app()
    views(app, limiter.limit("100/hour"), limiter.limit("2/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def a_limit_can_be_a_function():
    app, limiter = _app()
    views(app, limiter.limit(lambda: "1/minute"))
    return statuses(app, "GET /a", "GET /a")


def an_exempt_request_is_not_counted():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", exempt_when=lambda: "X-Staff" in request.headers))
    staff = ("GET /a", {"X-Staff": "yes"})
    return statuses(app, staff, staff, "GET /a", "GET /a", staff)


def methods_can_be_chosen():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", methods=["POST"]))
    return statuses(app, "POST /a", "POST /a", "GET /a", "GET /a")


def methods_can_have_their_own_counts():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", per_method=True))
    return statuses(app, "POST /a", "GET /a", "POST /a", "GET /a")


def a_request_can_cost_more():
    app, limiter = _app()
    views(app, limiter.limit("5/minute", cost=2))
    return statuses(app, "GET /a", "GET /a", "GET /a")


def a_cost_can_be_a_function():
    app, limiter = _app()
    views(app, limiter.limit("5/minute", cost=lambda: int(request.headers["X-Cost"])))
    return statuses(app, ("GET /a", {"X-Cost": "4"}), ("GET /a", {"X-Cost": "2"}))


def a_cost_over_the_limit_is_refused():
    app, limiter = _app()
    views(app, limiter.limit("5/minute", cost=9))
    return statuses(app, "GET /a", "GET /a")


def a_refused_request_costs_something():
    app, limiter = _app(strategy="fixed-window")
    views(app, limiter.limit("5/minute", cost=lambda: int(request.headers["X-Cost"])))
    return statuses(app, *(("GET /a", {"X-Cost": cost}) for cost in ("4", "2", "1")))


def one_limit_is_charged_though_another_refuses():
    app, limiter = _app()
    shared = limiter.shared_limit("3/minute", scope="both")
    views(app, shared, limiter.limit("1/hour"), paths=["/a"])
    views(app, shared, paths=["/b"])
    return statuses(app, "GET /a", "GET /a", "GET /a", "GET /b")


def callers_are_counted_apart():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", key_func=lambda: request.headers["X-Api-Key"]))
    one, two = ("GET /a", {"X-Api-Key": "1"}), ("GET /a", {"X-Api-Key": "2"})
    return statuses(app, one, two, one, two)


def a_caller_without_a_key_is_not_limited():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", key_func=lambda: request.headers.get("X-Api-Key")))
    return statuses(app, "GET /a", "GET /a")


def a_limit_of_the_application_counts_all_endpoints():
    app, _limiter = _app(application_limits=["2/minute"])
    views(app)
    return statuses(app, "GET /a", "GET /b", "GET /a")


def a_view_can_be_exempt():
    app, limiter = _app(application_limits=["1/minute"])
    views(app, paths=["/a"])
    views(app, limiter.exempt, paths=["/b"])
    return statuses(app, "GET /b", "GET /a", "GET /b", "GET /a")


def default_limits_apply_where_a_view_has_none():
    app, limiter = _app(default_limits=["1/minute"])
    views(app, paths=["/a", "/b"])
    views(app, limiter.limit("2/minute"), paths=["/c"])
    return statuses(app, "GET /a", "GET /a", "GET /b", "GET /c", "GET /c", "GET /c")


def a_filter_exempts_requests_everywhere():
    app, limiter = _app(application_limits=["1/minute"])
    limiter.request_filter(lambda: "X-Staff" in request.headers)
    views(app)
    return statuses(app, "GET /a", "GET /a", ("GET /a", {"X-Staff": "yes"}))


def a_blueprint_can_be_limited():
    app, limiter = _app()
    pages = Blueprint("pages", __name__)
    views(pages)
    limiter.limit("1/minute")(pages)
    app.register_blueprint(pages)
    return statuses(app, "GET /a", "GET /b", "GET /a")


def a_view_class_can_be_limited():
    app, limiter = _app()

    class Page(MethodView):
        decorators = [limiter.limit("1/minute")]  # noqa: RUF012

        def get(self):
            return "page"

    app.add_url_rule("/a", view_func=Page.as_view("a"))
    return statuses(app, "GET /a", "GET /a")


def a_block_can_be_limited():
    app, limiter = _app()

    @app.get("/a")
    def a():
        try:
            with limiter.limit("1/minute"):
                return "done"
        except RateLimitExceeded:
            return "later", 202

    return statuses(app, "GET /a", "GET /a")


def headers_say_what_is_left():
    app, limiter = _app(headers_enabled=True)
    views(app, limiter.limit("2/minute"))
    headers = app.test_client().get("/a").headers
    return [headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]]


def the_reset_header_is_a_time():
    app, limiter = _app(headers_enabled=True)
    views(app, limiter.limit("2/minute"))
    reset = int(app.test_client().get("/a").headers["X-RateLimit-Reset"])
    return "a time" if reset > time.time() - 60 else "seconds"


def every_response_has_retry_after():
    app, limiter = _app(headers_enabled=True)
    views(app, limiter.limit("1/minute"))
    client = app.test_client()
    return ["Retry-After" in client.get("/a").headers for _ in range(2)]


def headers_are_sent_by_default():
    app, limiter = _app()
    views(app, limiter.limit("1/minute"))
    return "X-RateLimit-Limit" in app.test_client().get("/a").headers


def an_error_handler_makes_the_429():
    app, limiter = _app()
    views(app, limiter.limit("1/minute"))
    app.register_error_handler(429, lambda error: (jsonify(error="slow down"), 429))
    client = app.test_client()
    client.get("/a")
    return client.get("/a").json


def a_limit_can_have_its_own_message():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", error_message="slow down"))
    client = app.test_client()
    client.get("/a")
    return "slow down" in client.get("/a").text


def only_some_responses_are_charged():
    app, limiter = _app()
    views(app, limiter.limit("1/minute", deduct_when=lambda response: response.status_code != 200))
    return statuses(app, "GET /a", "GET /a")


def a_wrong_rate_is_found_at_once():
    app, limiter = _app()
    try:
        views(app, limiter.limit("5/fortnight"))
    except ValueError:
        return "when it is declared"
    return statuses(app, "GET /a")


def without_redis_a_limited_view_fails():
    app, limiter = _app(_DEAD)
    views(app, limiter.limit("1/minute"))
    return statuses(app, "GET /a")


def memory_can_take_over_without_redis():
    app, limiter = _app(_DEAD, in_memory_fallback_enabled=True)
    views(app, limiter.limit("1/minute"))
    return statuses(app, "GET /a", "GET /a")


def errors_can_be_swallowed_without_redis():
    app, limiter = _app(_DEAD, swallow_errors=True)
    views(app, limiter.limit("1/minute"))
    return statuses(app, "GET /a", "GET /a")


def limits_can_be_switched_off():
    app, limiter = _app(enabled=False)
    views(app, limiter.limit("1/minute"))
    return statuses(app, "GET /a", "GET /a")


def a_caller_that_is_refused_often_can_be_locked_out():
    app, limiter = _app(meta_limits=["2/hour"])
    views(app, limiter.limit("1/minute"))
    return statuses(app, "GET /a", "GET /a", "GET /a", "GET /b")


def a_view_can_see_its_limit():
    app, limiter = _app()

    @app.get("/a")
    @limiter.limit("5/minute")
    def a():
        return {"remaining": limiter.current_limit.remaining}

    return app.test_client().get("/a").json


def all_limits_can_be_reset():
    app, limiter = _app()
    views(app, limiter.limit("1/minute"))
    before = statuses(app, "GET /a", "GET /a")
    limiter.reset()
    return before + statuses(app, "GET /a")
