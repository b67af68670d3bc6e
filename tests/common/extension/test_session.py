"""`flask.session` in Redis: login, logout, and requests at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisUnavailable,
    SessionRevoked,
    SessionStore,
    keys,
)
from common.pyportal_common.extension import Portal
from common.pyportal_common.redis_server import RedisServer

from .conftest import MakeApp

Do = Callable[..., Any]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return serve(make_app(PORTAL_SESSION=True))


def serve(app: Flask) -> Flask:
    """Add a view that runs what the test has put into `app.extensions["do"]`."""

    @app.route("/")
    def index() -> Any:
        found = app.extensions["do"]()
        return {"found": found} if not isinstance(found, str) else found

    return app


def run(client: FlaskClient, do: Do, *, status: int = 200) -> Any:
    """Run a function in a request, and return its result."""
    extensions = client.application.extensions
    before, extensions["do"] = extensions.get("do"), do
    response = client.get("/")
    extensions["do"] = before
    assert response.status_code == status
    body = response.get_json(silent=True)
    return body["found"] if status == 200 and body is not None else response


def put(**entries: Any) -> Do:
    return lambda: session.update(entries)


def in_turn(*all_of_them: Do) -> Do:
    return lambda: [do() for do in all_of_them]


def entries() -> dict[str, Any]:
    return {name: value for name, value in session.items() if not name.startswith("_")}


def cookie_of(client: FlaskClient, name: str = "session") -> str | None:
    cookie = client.get_cookie(name)
    return cookie.value if cookie is not None else None


def same_cookie(client: FlaskClient) -> FlaskClient:
    """Another client with the same session."""
    other = client.application.test_client()
    other.set_cookie("session", cookie_of(client) or "")
    return other


def round_trips(client: RedisClient) -> int:
    return int(client.execute("INFO", "commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_entries_are_kept_between_requests(app: Flask) -> None:
    client = app.test_client()

    run(client, put(cart=[1], name="Ada"))

    assert run(client, entries) == {"cart": [1], "name": "Ada"}
    assert run(app.test_client(), entries) == {}


def test_types_that_flask_keeps_are_kept(app: Flask) -> None:
    values = {
        "tuple": (1, (2,)),
        "bytes": b"\xff",
        "uuid": UUID(int=7),
        "time": datetime(2026, 11, 26, 9, tzinfo=UTC),
        "nested": {" t": {"x": [(1,)]}},
        " t": "odd name",
        "lone": "text",
    }
    client = app.test_client()
    run(client, lambda: session.update(values))

    assert run(client, lambda: dict(session) == values)


def test_flashed_messages_arrive(app: Flask) -> None:
    client = app.test_client()
    run(client, lambda: flash("saved", "info"))

    assert run(client, lambda: get_flashed_messages(with_categories=True)) == [["info", "saved"]]
    assert run(client, get_flashed_messages) == []


def test_nested_changes_are_noticed(app: Flask) -> None:
    client = app.test_client()
    run(client, put(cart={"items": [1]}))

    run(client, lambda: session["cart"]["items"].append(2))

    assert run(client, entries) == {"cart": {"items": [1, 2]}}


# --- what is sent ---


def test_a_request_that_does_not_use_the_session_sends_nothing(
    app: Flask, redis_client: RedisClient
) -> None:
    client = app.test_client()
    run(client, put(name="Ada"))
    before = round_trips(redis_client)

    response = run(client, lambda: "unused")

    assert round_trips(redis_client) == before
    assert "Vary" not in response.headers


def test_nothing_is_written_where_nothing_changed(app: Flask, redis_client: RedisClient) -> None:
    client = app.test_client()
    run(client, put(name="Ada", cart=[1]))
    before = round_trips(redis_client)

    def read_and_put_the_same() -> str:
        session["name"] = "Ada"
        return str(session["cart"])

    response = run(client, read_and_put_the_same)

    assert round_trips(redis_client) == before + 1
    assert "Set-Cookie" not in response.headers
    assert response.headers["Vary"] == "Cookie"


def test_visitors_have_no_session_in_redis(app: Flask, redis_client: RedisClient) -> None:
    def visit() -> str:
        session.permanent = True
        return str(session.get("name"))

    response = run(app.test_client(), visit)

    assert "Set-Cookie" not in response.headers
    assert list(redis_client.scan("*")) == []


def test_visitors_do_not_end_the_sessions_of_each_other(make_app: MakeApp) -> None:
    app = serve(make_app(PORTAL_SESSION=True, SESSION_MAX_PER_USER=1))
    clients = [app.test_client() for _ in range(3)]
    for number, client in enumerate(clients):
        run(client, put(number=number))

    assert [run(client, entries)["number"] for client in clients] == [0, 1, 2]


# --- login and logout ---


def test_login_continues_under_a_new_id(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, put(cart=[1]))
    thief = same_cookie(client)

    def log_in() -> None:
        cart = session["cart"]
        portal.login(7)
        cart.append(2)

    run(client, log_in)

    assert run(client, lambda: [portal.user_id, session["cart"]]) == [7, [1, 2]]
    assert cookie_of(client) != cookie_of(thief)
    assert run(thief, lambda: [portal.user_id, entries()]) == [None, {}]


def test_another_user_does_not_get_the_entries(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, lambda: portal.login(7))
    run(client, put(name="Ada"))
    run(client, lambda: portal.login(7))
    assert run(client, entries) == {"name": "Ada"}

    run(client, lambda: portal.login(8))

    assert run(client, lambda: [portal.user_id, entries()]) == [8, {}]


def test_entries_that_are_set_before_a_login_are_kept(portal: Portal, app: Flask) -> None:
    client = app.test_client()

    def log_in(user_id: int) -> None:
        session["theme"] = {"of": user_id}
        session[f"greeting-{user_id}"] = "hello"
        portal.login(user_id)
        session["after"] = user_id

    run(client, lambda: log_in(7))
    assert run(client, entries) == {"theme": {"of": 7}, "greeting-7": "hello", "after": 7}

    run(client, lambda: log_in(8))  # of the other user's entries none is kept
    assert run(client, entries) == {"greeting-8": "hello", "after": 8}


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_request_with_the_id_before_a_login_does_not_log_out(
    portal: Portal, app: Flask, is_loaded: bool
) -> None:
    client = app.test_client()
    run(client, put(cart=[1]))
    slow = same_cookie(client)

    def slow_request() -> str:
        if is_loaded:
            assert session["cart"] == [1]
        run(client, lambda: portal.login(7))
        session["seen"] = True
        return "ok"

    response = run(slow, slow_request)

    assert "Set-Cookie" not in response.headers
    assert run(client, lambda: [portal.user_id, entries()]) == [7, {"cart": [1]}]


def test_after_a_login_and_a_logout_a_request_may_begin_a_session(
    portal: Portal, app: Flask
) -> None:
    client = app.test_client()
    run(client, put(cart=[1]))

    def log_in_and_out() -> None:
        portal.login(7)
        portal.logout()
        flash("bye")

    run(client, log_in_and_out)

    assert run(client, get_flashed_messages) == ["bye"]


def test_an_id_that_a_client_made_up_is_not_adopted(app: Flask) -> None:
    client = app.test_client()
    for made_up in ("made-up", "x" * 1000, "a:b"):
        client.set_cookie("session", made_up)
        run(client, put(name="Ada"))
        assert cookie_of(client) != made_up
        assert run(client, entries) == {"name": "Ada"}


def test_logout_ends_the_session_for_everybody(
    portal: Portal, app: Flask, redis_client: RedisClient
) -> None:
    client = app.test_client()
    run(client, lambda: portal.login(7))
    other = same_cookie(client)

    run(client, portal.logout)

    assert cookie_of(client) is None
    assert run(other, lambda: portal.user_id) is None
    assert list(redis_client.scan("session:*")) == []


@pytest.mark.parametrize(
    "in_flight", [put(name="Eve"), lambda: session.clear()], ids=["a change", "another logout"]
)
def test_a_request_in_flight_does_not_undo_a_logout(
    portal: Portal, app: Flask, in_flight: Do, redis_client: RedisClient
) -> None:
    client = app.test_client()
    run(client, lambda: portal.login(7))
    other = same_cookie(client)

    def slow() -> None:
        assert portal.user_id == 7
        run(client, portal.logout)
        in_flight()

    run(other, slow)

    assert list(redis_client.scan("session:*")) == []
    assert run(other, lambda: [portal.user_id, entries()]) == [None, {}]


def test_clearing_the_session_is_a_logout(
    portal: Portal, app: Flask, redis_client: RedisClient
) -> None:
    client = app.test_client()
    run(client, lambda: portal.login(7))

    run(client, lambda: session.clear())

    assert cookie_of(client) is None
    assert list(redis_client.scan("session:*")) == []


def test_what_is_set_after_clearing_is_in_another_session(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, in_turn(lambda: portal.login(7), put(cart=["tea"])))
    old = cookie_of(client)

    run(client, in_turn(lambda: session.clear(), lambda: flash("Logged out")))

    assert cookie_of(client) not in {None, old}
    assert run(client, lambda: (portal.user_id, "cart" in session)) == [None, False]
    with app.app_context():
        assert portal.revoke_all(7) == 0
    assert run(client, get_flashed_messages) == ["Logged out"]


def test_the_next_user_gets_nothing_of_a_request_in_flight(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, in_turn(lambda: portal.login(7), put(cart=["tea"])))
    with app.test_request_context(headers={"Cookie": f"session={cookie_of(client)}"}):
        session["cart"].append("late")
        run(client, in_turn(lambda: session.clear(), lambda: flash("Logged out")))
        app.process_response(app.response_class())
    run(client, lambda: portal.login(8))

    assert run(client, lambda: (portal.user_id, session.get("cart"))) == [8, None]


@pytest.mark.parametrize("end", ["clear", "logout"])
@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_late_logout_does_not_undo_a_login(
    portal: Portal, app: Flask, end: str, is_loaded: bool
) -> None:
    client = app.test_client()
    run(client, lambda: session.update(city="Bern"))
    cookie = {"Cookie": f"session={cookie_of(client)}"}
    with app.test_request_context(headers=cookie):
        if is_loaded:
            session.get("city")
        run(client, lambda: portal.login(7))
        session.clear() if end == "clear" else portal.logout()
        late = app.process_response(app.response_class())
    with app.test_request_context(headers=cookie):  # a third one
        session["city"] = "Rome"
        third = app.process_response(app.response_class())

    assert [late.headers.get("Set-Cookie"), third.headers.get("Set-Cookie")] == [None, None]
    assert run(client, lambda: portal.user_id) == 7


def test_the_entry_of_flask_login_is_another_one(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, in_turn(put(_user_id="token of ada"), lambda: portal.login(7)))

    assert run(client, lambda: (session["_user_id"], portal.user_id)) == ["token of ada", 7]
    run(client, lambda: session.pop("_user_id"))
    assert run(client, lambda: portal.user_id) == 7


def test_a_key_of_another_type_is_no_session(app: Flask, redis_client: RedisClient) -> None:
    client = app.test_client()
    run(client, lambda: session.update(city="Bern"))
    key = f"session:{cookie_of(client)}"
    redis_client.delete(key)
    redis_client.execute("RPUSH", key, "x")

    run(client, lambda: session.update(city="Rome"))

    assert run(client, lambda: [session.get("city")]) == ["Rome"]


def test_a_refused_login_is_a_401(portal: Portal, app: Flask) -> None:
    @app.post("/late-login")
    def late_login() -> str:
        portal.login(7, auth_epoch=1)
        return "welcome"

    with app.app_context():
        portal.revoke_all(7, auth_epoch=2)

    response = app.test_client().post("/late-login")

    assert (response.status_code, response.json) == (401, {"error": "Log in again"})


def test_taking_the_last_entry_keeps_the_user_logged_in(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, lambda: portal.login(7))
    run(client, lambda: flash("welcome"))
    run(client, get_flashed_messages)

    assert run(client, lambda: portal.user_id) == 7


def test_a_message_after_logout_begins_a_new_session(portal: Portal, app: Flask) -> None:
    client = app.test_client()
    run(client, lambda: portal.login(7))
    before = cookie_of(client)

    def log_out() -> None:
        portal.logout()
        flash("bye")

    run(client, log_out)

    assert cookie_of(client) not in {before, None}
    assert run(client, lambda: [portal.user_id, get_flashed_messages()]) == [None, ["bye"]]


def test_revoke_all_ends_the_sessions_of_a_user(portal: Portal, app: Flask) -> None:
    phone, laptop, other = (app.test_client() for _ in range(3))
    for client in (phone, laptop):
        run(client, lambda: portal.login(7))
    run(other, lambda: portal.login(8))

    assert run(phone, lambda: portal.revoke_all(7, keep_current=True)) == 1
    run(phone, put(theme="dark"))
    users = [run(client, lambda: portal.user_id) for client in (phone, laptop, other)]
    assert users == [7, None, 8]

    assert run(phone, lambda: portal.revoke_all(7)) == 1
    assert cookie_of(phone) is None
    run(phone, lambda: portal.login(7))
    assert run(phone, lambda: portal.user_id) == 7
    with app.app_context():
        assert portal.revoke_all(7) == 1
    assert run(phone, lambda: portal.user_id) is None


@pytest.mark.parametrize("seconds", [0.0, -3600.0])
def test_revoke_all_ends_sessions_also_if_the_clock_does_not_advance(
    portal: Portal, app: Flask, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    now = 2_000_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    client = app.test_client()
    for _ in range(3):
        run(client, lambda: portal.login(7))
        with app.app_context():
            assert portal.revoke_all(7) == 1
        assert run(client, lambda: portal.user_id) is None
        now += seconds


def test_a_login_that_read_an_older_epoch_is_refused(portal: Portal, app: Flask) -> None:
    client = app.test_client()

    def log_in() -> str:
        portal.revoke_all(7, auth_epoch=4)
        with pytest.raises(SessionRevoked):
            portal.login(7, auth_epoch=3)
        return str(portal.user_id)

    assert run(client, log_in).text == "None"
    run(client, lambda: portal.login(7, auth_epoch=4))
    assert run(client, lambda: portal.user_id) == 7


def test_limits_by_user_count_who_logged_in(portal: Portal, app: Flask) -> None:
    @app.get("/limited")
    @portal.limit("1/minute", by="user")
    def limited() -> str:
        return "ok"

    first, second = app.test_client(), app.test_client()
    for user_id, client in enumerate((first, second)):
        run(client, lambda user_id=user_id: portal.login(user_id))

    found = [client.get("/limited").status_code for client in (first, first, second)]
    assert found == [200, 429, 200]


def test_login_needs_sessions_in_redis(portal: Portal, make_app: MakeApp) -> None:
    with make_app().test_request_context(), pytest.raises(RuntimeError, match="PORTAL_SESSION"):
        portal.login(7)


@pytest.mark.parametrize("user_id", ["", "anonymous:x", True, 1.5, 2**63])
def test_an_odd_user_id_is_refused_and_nothing_is_stored(
    portal: Portal, app: Flask, redis_client: RedisClient, user_id: Any
) -> None:
    with app.test_request_context(), pytest.raises((TypeError, ValueError)):
        portal.login(user_id)

    assert list(redis_client.scan("*session*")) == []


# --- at the same time ---


def test_changes_to_different_entries_both_survive(app: Flask) -> None:
    client = app.test_client()
    run(client, put(a=0, b=0, c=0))
    other = same_cookie(client)

    def slow() -> None:
        session["a"] = 1
        del session["c"]
        run(other, put(b=2, d=4))

    run(client, slow)

    assert run(client, entries) == {"a": 1, "b": 2, "d": 4}


def test_many_requests_at_once_lose_no_entry(app: Flask) -> None:
    @app.get("/put/<name>")
    def put_name(name: str) -> str:
        session[name] = name
        return "ok"

    client = app.test_client()
    run(client, put(begin=True))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: same_cookie(client).get(f"/put/n{n}"), range(24)))

    assert len(run(client, entries)) == 25


# --- cookies ---


def test_the_settings_of_the_cookie_are_honoured(make_app: MakeApp) -> None:
    app = serve(
        make_app(
            PORTAL_SESSION=True,
            SESSION_COOKIE_NAME="shop",
            SESSION_COOKIE_PATH="/",
            SESSION_COOKIE_DOMAIN="localhost",
            SESSION_COOKIE_SECURE=True,
            SESSION_COOKIE_HTTPONLY=False,
            SESSION_COOKIE_SAMESITE="Strict",
            SESSION_COOKIE_PARTITIONED=True,
        )
    )
    app.extensions["do"] = put(name="Ada")

    header = app.test_client().get("/").headers["Set-Cookie"]

    assert header.startswith("shop=")
    assert {part.strip() for part in header.split(";")[1:]} == {
        "Domain=localhost", "Path=/", "Secure", "SameSite=Strict", "Partitioned",
    }  # fmt: skip


def test_only_a_permanent_session_outlives_the_browser(make_app: MakeApp) -> None:
    app = serve(make_app(PORTAL_SESSION=True, PERMANENT_SESSION_LIFETIME=timedelta(hours=2)))
    client = app.test_client()
    run(client, put(name="Ada"))
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.expires is None

    run(client, lambda: setattr(session, "permanent", True))

    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.expires is not None
    left = cookie.expires - datetime.now(UTC)
    assert timedelta(minutes=118) < left <= timedelta(hours=2)


def test_sessions_expire_as_the_settings_say(make_app: MakeApp, redis_client: RedisClient) -> None:
    app = serve(
        make_app(
            PORTAL_SESSION=True, PORTAL_SESSION_IDLE_SECONDS=90, PORTAL_SESSION_ABSOLUTE_SECONDS=200
        )
    )
    client = app.test_client()
    run(client, put(name="Ada"))

    (key,) = redis_client.scan("session:*")
    assert 80 < redis_client.ttl(key) <= 92
    assert key == keys.session(cookie_of(client) or "")


def test_session_transaction_of_a_test_client_works(app: Flask) -> None:
    client = app.test_client()
    with client.session_transaction() as transaction:
        transaction["name"] = "Ada"

    assert run(client, entries) == {"name": "Ada"}
    with client:
        run(client, put(more=1))
        assert session["more"] == 1


# --- outages ---


def test_without_redis_nobody_is_anonymous_and_nothing_is_claimed(
    portal: Portal, make_app: MakeApp, own_redis: RedisServer
) -> None:
    app = serve(make_app(PORTAL_SESSION=True, REDIS_URL=own_redis.url))
    client = app.test_client()
    run(client, lambda: portal.login(7))

    def save_in_outage() -> str:
        session["name"] = "Ada"
        own_redis.kill()
        return "saved"

    response = run(client, save_in_outage, status=503)

    assert "saved" not in response.text
    assert response.headers["Retry-After"] == "2"
    run(client, lambda: str(portal.user_id), status=503)
    run(client, portal.logout, status=503)
    run(app.test_client(), lambda: portal.login(7), status=503)
    assert run(client, lambda: "unused").text == "unused"


def test_a_login_that_fails_half_way_logs_nobody_in(
    portal: Portal, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    run(client, put(cart=[1]))
    thief = same_cookie(client)

    def refuse(*_: object) -> bool:
        raise RedisUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "supersede", refuse)
        run(client, lambda: portal.login(7), status=503)

    for each in (client, thief):
        assert run(each, lambda: [portal.user_id, entries()]) == [None, {"cart": [1]}]
