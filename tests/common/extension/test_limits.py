"""`@portal.limit`: who is counted, for what, and what responses say."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import pytest
from flask import Blueprint, Flask, g, request
from flask.views import MethodView, View
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from common.pyportal_common.cache_handlers import Charge, RateLimit, RedisClient
from common.pyportal_common.extension import (
    Caller,
    LimitExceeded,
    Portal,
    header,
    json_field,
)
from common.pyportal_common.redis_server import RedisServer

from .conftest import MakeApp


def statuses(app: Flask, path: str, count: int, **options: Any) -> list[int]:
    client = app.test_client()
    return [client.open(path, **options).status_code for _ in range(count)]


def test_the_sixth_request_of_an_address_is_refused(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("5/minute")
    def index() -> str:
        return "ok"

    assert statuses(app, "/", 6) == [200] * 5 + [429]
    assert statuses(app, "/", 1, environ_base={"REMOTE_ADDR": "10.0.0.9"}) == [200]


def test_exactly_the_limit_is_admitted_to_concurrent_requests(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("20/minute")
    def index() -> str:
        return "ok"

    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda _: app.test_client().get("/").status_code, range(60))

    assert Counter(found) == {200: 20, 429: 40}


def test_a_shadow_limit_refuses_nothing_and_logs_whom_it_would_refuse(
    portal: Portal, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    @portal.limit("1/minute", shadow=True, by=header("X-Tenant"))
    @portal.limit("3/hour")
    def index() -> str:
        return "ok"

    tenant = {"X-Tenant": "a"}
    caplog.set_level("INFO")

    assert statuses(app, "/", 3, headers=tenant) == [200, 200, 200]
    response = app.test_client().get("/", headers=tenant)

    assert (response.status_code, response.headers["RateLimit-Policy"]) == (
        429,
        '"index/3600";q=3;w=3600',
    )
    assert "would refuse" in caplog.text


def test_a_shadow_limit_does_not_replace_an_enforced_one(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("1/minute", shadow=True)
    @portal.limit("2/minute")
    def index() -> str:
        return "ok"

    assert statuses(app, "/", 3) == [200, 200, 429]


def test_a_refused_request_counts_for_none_of_the_limits(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("3/hour", by=header("X-Tenant"))
    @portal.limit("1/minute; 100 per 2 hours", by="address")
    def index() -> str:
        return "ok"

    one, other = {"REMOTE_ADDR": "10.0.0.1"}, {"REMOTE_ADDR": "10.0.0.2"}
    tenant = {"X-Tenant": "a"}

    assert statuses(app, "/", 4, environ_base=one, headers=tenant) == [200, 429, 429, 429]
    assert statuses(app, "/", 1, environ_base=other, headers=tenant) == [200]


def test_limits_are_one_round_trip(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("3/hour", by=header("X-Tenant"))
    @portal.limit("5/minute; 100/hour")
    def index() -> str:
        return "ok"

    app.test_client().get("/")
    with app.app_context():
        before = portal.limiter.client.execute("INFO", "commandstats")["cmdstat_evalsha"]["calls"]
        app.test_client().get("/")
        after = portal.limiter.client.execute("INFO", "commandstats")["cmdstat_evalsha"]["calls"]

    assert after == before + 1


def test_users_are_counted_wherever_they_come_from(make_app: MakeApp) -> None:
    portal = Portal(user=lambda: request.headers.get("X-User"))
    app = Flask("shop")
    app.config["REDIS_URL"] = make_app().config["REDIS_URL"]
    portal.init_app(app)

    @app.get("/")
    @portal.limit("2/minute", by="user")
    def index() -> str:
        return "ok"

    for number, status in enumerate([200, 200, 429]):
        place = {"REMOTE_ADDR": f"10.0.0.{number}"}
        assert statuses(app, "/", 1, environ_base=place, headers={"X-User": "7"}) == [status]
    assert statuses(app, "/", 1, headers={"X-User": "8"}) == [200]
    assert statuses(app, "/", 3) == [200, 200, 429]  # nobody: by address


def test_a_limit_by_user_needs_to_know_the_user(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("2/minute", by="user")
    def index() -> str:
        return "ok"

    app.testing = True
    with pytest.raises(RuntimeError, match="PORTAL_SESSION"):
        app.test_client().get("/")


def test_a_function_or_a_field_of_the_body_may_identify(portal: Portal, app: Flask) -> None:
    @app.post("/")
    @portal.limit("1/minute", by=json_field("email"))
    def by_field() -> str:
        return "ok"

    @app.get("/")
    @portal.limit("1/minute", by=lambda: request.args["tenant"])
    def by_function() -> str:
        return "ok"

    assert statuses(app, "/", 2, method="POST", json={"email": "a@b.c"}) == [200, 429]
    assert statuses(app, "/", 1, method="POST", json={"email": "b@b.c"}) == [200]
    assert statuses(app, "/", 2, method="POST", data="[") == [200, 429]  # by address
    assert statuses(app, "/?tenant=a", 2) == [200, 429]
    assert statuses(app, "/?tenant=b", 1) == [200]


def test_redis_holds_no_api_key(portal: Portal, app: Flask, redis_client: RedisClient) -> None:
    @app.get("/")
    @portal.limit("1/minute", by=header("X-Api-Key"))
    def index() -> str:
        return "ok"

    statuses(app, "/", 1, headers={"X-Api-Key": "very-secret"})

    (key,) = redis_client.scan("*")
    assert key.startswith("rate_limit:shop:header-x-api-key:")
    assert "secret" not in key


def test_costs_are_charged(portal: Portal, app: Flask) -> None:
    @app.get("/fixed")
    @portal.limit("10/minute", cost=5)
    def fixed() -> str:
        return "ok"

    @app.get("/by-size")
    @portal.limit("10/minute", cost=lambda: int(request.args["size"]))
    def by_size() -> str:
        return "ok"

    assert statuses(app, "/fixed", 3) == [200, 200, 429]
    assert statuses(app, "/by-size?size=0", 20) == [200] * 20
    assert statuses(app, "/by-size?size=11", 2) == [200, 429]  # counts as the whole limit


@pytest.mark.parametrize("cost", [True, False, 1.5, "2", None, [3], float("nan")])
def test_a_cost_that_is_no_whole_number_is_refused(portal: Portal, app: Flask, cost: Any) -> None:
    @app.post("/")
    @portal.limit("1/minute")
    @portal.limit("9/hour", cost=lambda: cost)
    def index() -> str:
        return "ok"

    assert statuses(app, "/", 2, method="POST") == [400, 429]  # the other limit counts it
    with app.app_context():
        assert portal.limiter.client.ping()  # is not taken for broken


@pytest.mark.parametrize("cost", [True, 1.0, "1", None])
def test_a_charge_is_a_whole_number(cost: Any) -> None:
    with pytest.raises(TypeError, match="cost"):
        Charge(RateLimit("search", 5, 60), "address:10.0.0.1", cost)


def test_json_that_is_nested_too_deeply_is_refused_or_counted(portal: Portal, app: Flask) -> None:
    @app.post("/cost")
    @portal.limit("9/minute", cost=lambda: len(request.get_json()))
    def by_cost() -> str:
        return "ok"

    @app.post("/field")
    @portal.limit("1/minute", by=json_field("email"))
    def by_field() -> str:
        return "ok"

    deep = {"data": "[" * 200_000, "content_type": "application/json", "method": "POST"}

    assert statuses(app, "/cost", 1, **deep) == [400]
    assert statuses(app, "/field", 2, **deep) == [200, 429]


def test_two_functions_of_one_name_are_refused_on_one_view(portal: Portal) -> None:
    def index() -> str:
        return "ok"

    def traced(view: Callable[..., str]) -> Callable[..., str]:
        return wraps(view)(lambda: view())

    by_one = portal.limit("1/minute", by=lambda: request.args["one"])
    by_other = portal.limit("9/minute", by=lambda: request.args["other"])
    named = portal.limit("9/minute", by=Caller("other", lambda: request.args["other"]))

    for view in (by_one(index), traced(by_one(index)), named(by_one(index))):
        with pytest.raises(ValueError, match="lambda"):
            by_other(view)
    named(by_one(index))
    portal.limit("9/hour", by=header("X-Key"))(portal.limit("1/minute", by=header("x-key"))(index))


def test_a_get_limit_counts_head(portal: Portal, app: Flask) -> None:
    @app.get("/")
    @portal.limit("2/minute", methods=["GET"])
    def index() -> str:
        return "ok"

    assert statuses(app, "/", 1) == [200]
    assert statuses(app, "/", 2, method="HEAD") == [200, 429]


def test_exempt_requests_and_other_methods_are_not_counted(portal: Portal, app: Flask) -> None:
    @app.route("/", methods=["GET", "POST"])
    @portal.limit("1/minute", methods=["post"], exempt=lambda: request.args.get("free") == "1")
    def index() -> str:
        return "ok"

    assert statuses(app, "/", 3) == [200, 200, 200]
    assert statuses(app, "/?free=1", 3, method="POST") == [200, 200, 200]
    assert statuses(app, "/", 2, method="POST") == [200, 429]


def test_views_share_a_limit_by_its_name(portal: Portal, app: Flask) -> None:
    shared = portal.limit("2/minute", name="search")

    @app.get("/one")
    @shared
    def one() -> str:
        return "ok"

    @app.get("/two")
    @shared
    def two() -> str:
        return "ok"

    @app.get("/three")
    @portal.limit("2/minute")
    def three() -> str:
        return "ok"

    assert statuses(app, "/one", 2) == [200, 200]
    assert statuses(app, "/two", 1) == [429]
    assert statuses(app, "/three", 1) == [200]


def test_rates_may_change_while_the_app_runs(portal: Portal, app: Flask) -> None:
    rates = ["1/minute"]

    @app.get("/")
    @portal.limit(lambda: rates[0])
    def index() -> str:
        return "ok"

    assert statuses(app, "/", 2) == [200, 429]
    rates[0] = "3/minute"
    assert statuses(app, "/", 3) == [200, 200, 429]  # the first request still counts


def test_apps_do_not_share_limits(portal: Portal, make_app: MakeApp) -> None:
    @portal.limit("1/minute")
    def index() -> str:
        return "ok"

    first, second = make_app("first"), make_app("second")
    third = make_app("third", PORTAL_SERVICE="first")
    for app in (first, second, third):
        app.add_url_rule("/", "index", index)

    assert statuses(first, "/", 2) == [200, 429]
    assert statuses(second, "/", 1) == [200]
    assert statuses(third, "/", 1) == [429]


def test_blueprints_view_classes_and_async_views_are_limited(portal: Portal, app: Flask) -> None:
    limit = portal.limit("1/minute")
    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/page")
    @limit
    def page() -> str:
        return "ok"

    class Items(MethodView):
        @limit
        def get(self) -> str:
            return "ok"

        @limit
        def post(self) -> str:
            return "ok"

    class Decorated(View):
        decorators = [limit]  # noqa: RUF012  as Flask declares it

        def dispatch_request(self) -> str:
            return "ok"

    @app.get("/async")
    @limit
    async def asynchronous() -> str:
        return "ok"

    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again", url_prefix="/again")
    app.add_url_rule("/items", view_func=Items.as_view("items"))
    app.add_url_rule("/decorated", view_func=Decorated.as_view("decorated"))

    for path in ("/page", "/again/page", "/items", "/decorated", "/async"):
        assert statuses(app, path, 2) == [200, 429], path
    assert statuses(app, "/items", 2, method="POST") == [200, 429]


def test_a_view_is_limited_in_the_request_context_of_a_test(portal: Portal, app: Flask) -> None:
    @portal.limit("1/minute")
    def index() -> str:
        return "ok"

    with app.test_request_context("/"):
        assert index() == "ok"
        with pytest.raises(LimitExceeded) as caught:
            index()
        assert caught.value.decision.rate_limit == "index"


def test_a_decorator_in_between_keeps_both_limits(portal: Portal, app: Flask) -> None:
    def traced(view: Callable[..., str]) -> Callable[..., str]:
        @wraps(view)
        def wrapper() -> str:
            g.traced = True
            return view()

        return wrapper

    @app.get("/")
    @portal.limit("9/hour")
    @traced
    @portal.limit("1/minute")
    def index() -> str:
        assert g.traced
        return "ok"

    assert statuses(app, "/", 2) == [200, 429]


# --- responses ---


@pytest.fixture
def limited(portal: Portal, make_app: MakeApp) -> Callable[..., Flask]:
    def make(**config: Any) -> Flask:
        app = make_app(**config)

        @app.get("/")
        @portal.limit("2/minute; 5/hour")
        def index() -> str:
            return "ok"

        @app.get("/free")
        def free() -> str:
            return "ok"

        return app

    return make


def headers_of(response: TestResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if "ratelimit" in name.lower()}


OLD = {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "60"}
NEW = {
    "RateLimit-Policy": '"index/60";q=2;w=60, "index/3600";q=5;w=3600',
    "RateLimit": '"index/60";r=1;t=60',
}


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [("x", OLD), ("draft", NEW), ("both", OLD | NEW), (None, OLD | NEW), ("off", {})],
)
def test_the_dialect_of_the_headers_is_a_setting(
    limited: Callable[..., Flask], dialect: str | None, expected: dict[str, str]
) -> None:
    app = limited(PORTAL_LIMIT_HEADERS=dialect)

    with app.app_context():  # which the requests share
        assert headers_of(app.test_client().get("/")) == expected
        assert headers_of(app.test_client().get("/free")) == {}


def test_a_429_says_when_to_try_again(limited: Callable[..., Flask]) -> None:
    client = limited().test_client()
    for _ in range(2):
        client.get("/")

    response = client.get("/")

    assert response.status_code == 429
    seconds = response.json["retry_after"]  # type: ignore[index]
    assert response.json == {"error": "Rate limit exceeded", "retry_after": seconds}
    assert response.headers["Retry-After"] == str(seconds)
    assert headers_of(response)["RateLimit"] == f'"index/60";r=0;t={seconds}'


def test_a_429_is_a_problem_for_clients_that_ask_for_one(limited: Callable[..., Flask]) -> None:
    client = limited().test_client()
    for _ in range(2):
        client.get("/")

    response = client.get("/", headers={"Accept": "application/problem+json"})

    assert response.mimetype == "application/problem+json"
    found = json.loads(response.text)
    assert found["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert found["title"] == "Request cannot be satisfied as assigned quota has been exceeded"
    assert found["violated-policies"] == ["index/60"]


@pytest.mark.parametrize("kind", [429, LimitExceeded, HTTPException])
def test_the_app_may_respond_to_a_429_itself(
    limited: Callable[..., Flask], kind: int | type[Exception]
) -> None:
    app = limited()

    @app.errorhandler(kind)
    def slow_down(error: LimitExceeded) -> tuple[str, int]:
        return f"Slow down for {error.decision.retry_after} s", 429

    client = app.test_client()
    for _ in range(2):
        client.get("/")
    response = client.get("/")

    seconds = response.headers["Retry-After"]
    assert response.text == f"Slow down for {seconds} s"
    assert headers_of(response)["X-RateLimit-Remaining"] == "0"


@pytest.mark.parametrize("is_handled", [False, True])
def test_a_429_that_a_view_raises_has_the_headers(
    portal: Portal, app: Flask, is_handled: bool
) -> None:
    @app.get("/")
    def index() -> str:
        decision = portal.limiter.hit(Charge(RateLimit("mails", 1, 60), "user:7"))
        if not decision.allowed:
            raise LimitExceeded(decision)
        return "ok"

    if is_handled:
        app.register_error_handler(LimitExceeded, lambda _: ("Slow down", 429))
    client = app.test_client()
    client.get("/")
    response = client.get("/")

    assert response.status_code == 429
    assert response.headers["Retry-After"] == "60"
    assert response.headers["X-RateLimit-Limit"] == "1"
    assert response.headers["RateLimit-Policy"] == '"mails/60";q=1;w=60'
    assert response.headers["RateLimit"] == '"mails/60";r=0;t=60'


def test_a_long_accept_header_is_not_parsed(limited: Callable[..., Flask]) -> None:
    client = limited().test_client()
    for _ in range(2):
        client.get("/")
    accept = ",".join(["application/problem+json"] * 100)

    assert client.get("/", headers={"Accept": accept}).mimetype == "application/json"


# --- definitions, outages ---


@pytest.mark.parametrize(
    "rates", ["", "5", "5/fortnight", "0/minute", "5/60", "5/minute;", "5/minute; 6 per 60 seconds"]
)
def test_wrong_rates_are_refused_when_they_are_defined(portal: Portal, rates: str) -> None:
    with pytest.raises(ValueError, match=r"limit|window|two rates"):
        portal.limit(rates)


@pytest.mark.parametrize(
    "rates",
    ["5/minute", "5 per minute", "5 PER 1 Minutes", "5/60seconds, 9/hour", "5/minute|9/day"],
)
def test_the_notation_of_limits_is_understood(portal: Portal, app: Flask, rates: str) -> None:
    @app.get("/")
    @portal.limit(rates)
    def index() -> str:
        return "ok"

    policy = app.test_client().get("/").headers["RateLimit-Policy"]

    assert policy.startswith('"index/60";q=5;w=60')


def test_wrong_options_are_refused_when_they_are_defined(portal: Portal) -> None:
    with pytest.raises(ValueError, match="cost"):
        portal.limit("5/minute", cost=6)
    with pytest.raises(TypeError, match="cost"):
        portal.limit("5/minute", cost=True)
    with pytest.raises(TypeError, match="several texts"):
        portal.limit("5/minute", methods="POST")
    with pytest.raises(ValueError, match=r"by='adress'.*header.*json_field"):
        portal.limit("5/minute", by="adress")  # type: ignore[arg-type]


def test_limits_hold_in_each_process_without_redis(
    portal: Portal, make_app: MakeApp, own_redis: RedisServer
) -> None:
    app = make_app(REDIS_URL=own_redis.url)

    @app.get("/")
    @portal.limit("2/minute")
    def index() -> str:
        return "ok"

    @app.get("/closed")
    @portal.limit("2/minute", on_error="closed")
    def closed() -> str:
        return "ok"

    @app.get("/open")
    @portal.limit("2/minute", on_error="open")
    def open_() -> str:
        return "ok"

    own_redis.kill()

    assert statuses(app, "/", 3) == [200, 200, 429]
    assert statuses(app, "/closed", 1) == [503]
    assert statuses(app, "/open", 3) == [200, 200, 200]
