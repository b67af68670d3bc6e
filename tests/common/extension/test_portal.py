"""Portal: one object for several apps, and its settings."""

from typing import Any

import pytest
from flask import Flask

from common.pyportal_common.cache_handlers import (
    RedisPoolExhausted,
    RedisUnavailable,
    SessionChanged,
)
from common.pyportal_common.extension import Portal
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ConfigurationError

from .conftest import MakeApp


def test_the_config_of_the_app_wins_over_the_environment(
    portal: Portal, make_app: MakeApp, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1")
    monkeypatch.setenv("REDIS_READ_TIMEOUT", "7")

    with make_app().app_context():
        assert portal.redis.breaker.address == f"127.0.0.1:{redis_server.port}"
        assert portal.redis.ping()


def test_the_environment_is_used_for_what_the_config_lacks(
    portal: Portal, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("SESSION_REDIS_DB", "3")
    app = Flask("shop")
    portal.init_app(app)

    with app.app_context():
        assert portal.redis.ping()
        assert portal.sessions.client.db == portal.limiter.client.db == 3


def test_a_host_in_the_config_wins_over_a_url_in_the_environment(
    portal: Portal, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1")
    app = Flask("shop")
    app.config.update(REDIS_HOST="127.0.0.1", REDIS_PORT=redis_server.port)
    portal.init_app(app)

    with app.app_context():
        assert portal.redis.ping()


def test_sessions_may_have_a_server_of_their_own(portal: Portal, make_app: MakeApp) -> None:
    with make_app(SESSION_REDIS_URL="redis://sessions:7000/4").app_context():
        assert portal.sessions.client.breaker.address == "sessions:7000"
        assert portal.sessions.client.db == 4
        assert portal.redis.breaker.address.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PORT", "many"),
        ("REDIS_URL", "http://redis"),
        ("SESSION_REDIS_DB", -1),
        ("PORTAL_SESSION", "perhaps"),
        ("PORTAL_LIMIT_HEADERS", "all"),
        ("PORTAL_DEFAULT_LIMITS", "many"),
        ("PORTAL_DEFAULT_LIMITS", "0/minute"),
        ("PORTAL_APPLICATION_LIMITS", ""),
        ("PORTAL_SESSION_IDLE_SECONDS", 0),
    ],
)
def test_an_invalid_value_stops_init_app_with_its_name(
    portal: Portal, name: str, value: Any
) -> None:
    app = Flask("shop")
    app.config[name] = value

    with pytest.raises(ConfigurationError, match=f"{name}: "):
        portal.init_app(app)

    assert "pyportal" not in app.extensions


def test_one_portal_serves_several_apps(portal: Portal, make_app: MakeApp) -> None:
    first, second = make_app("first", REDIS_DB=1, REDIS_URL=None), make_app("second")
    with first.app_context():
        one = portal.cache
        with second.app_context():
            assert portal.cache is not one
        assert portal.cache is one


def test_an_app_without_the_extension_is_told_what_to_do(portal: Portal, app: Flask) -> None:
    with Flask("other").app_context(), pytest.raises(RuntimeError, match="init_app"):
        _ = portal.cache
    with pytest.raises(RuntimeError, match="outside of application context"):
        _ = portal.cache
    with pytest.raises(RuntimeError, match="already"):
        portal.init_app(app)


def test_portal_accepts_the_app_at_once(redis_server: RedisServer) -> None:
    app = Flask("shop")
    app.config["REDIS_URL"] = redis_server.url

    portal = Portal(app)

    with app.app_context():
        assert portal.redis.ping()


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RedisUnavailable("down"), "2"),
        (RedisPoolExhausted("full"), "1"),
        (SessionChanged("often"), "1"),
    ],
)
def test_an_outage_is_a_503(app: Flask, error: Exception, seconds: str) -> None:
    @app.get("/")
    def fail() -> str:
        raise error

    response = app.test_client().get("/")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == seconds


@pytest.mark.parametrize("before", [True, False])
def test_the_app_may_respond_to_outages_itself(
    portal: Portal, redis_server: RedisServer, before: bool
) -> None:
    app = Flask("shop")
    app.config["REDIS_URL"] = redis_server.url
    if not before:
        portal.init_app(app)
    app.register_error_handler(RedisUnavailable, lambda _: ("closed", 418))
    if before:
        portal.init_app(app)

    @app.get("/")
    def fail() -> str:
        raise RedisUnavailable("down")

    assert app.test_client().get("/").status_code == 418
