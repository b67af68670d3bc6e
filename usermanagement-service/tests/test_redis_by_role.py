"""Caches on one Redis server, sessions and limits on another, and either of them away or full."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    RedisClient,
    get_session_client,
    keys,
)
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of

from .conftest import CREDENTIALS, JANE, LOGIN, REGISTER, MakeApp, register, services_of, session_of

Servers = tuple[RedisServer, RedisServer]


@pytest.fixture
def servers(start_redis: Callable[..., RedisServer]) -> Servers:
    """That of the caches, and that of the sessions and limits."""
    return start_redis(), start_redis()


@pytest.fixture
def app(servers: Servers, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
    caches, sessions = servers
    monkeypatch.setenv("SESSION_REDIS_URL", sessions.url)
    return make_app(redis_url=caches.url, cache_trust_seconds=0.1)


@pytest.fixture
def user(client: FlaskClient) -> str:
    """The path of John."""
    return f"{API}/users/{register(client)['id']}"


def kinds_on(server: RedisServer, connect: Callable[..., RedisClient]) -> set[str]:
    """The kinds of the keys on a server, without the probe and the markers."""
    return {keys.kind_of(key) for key in connect(server).scan()} - {"pyportal", "cache", "sessions"}


def not_ok(client: FlaskClient) -> dict[str, str]:
    """The databases that are not ok, with their states."""
    found = json_of(client.get("/health")).get("redis", [])
    return {each["name"]: each["state"] for each in found}


def unseen_by_the_doctor(app: Flask) -> list[str]:
    printed = app.test_cli_runner().invoke(args=["doctor", "--json"]).output
    findings = json.loads(printed)["items"]
    unseen = [each["check"] for each in findings if each["state"] == "unseen"]
    return [check for check in unseen if check.startswith("redis ")]


def name_of(server: RedisServer) -> str:
    return f"127.0.0.1:{server.port}, database 0"


def test_each_server_has_its_own_keys(
    client: FlaskClient, user: str, servers: Servers, connect: Callable[..., RedisClient]
) -> None:
    session = session_of(client)
    assert client.get(user, headers=bearer(session)).status_code == 200

    caches, sessions = (kinds_on(server, connect) for server in servers)

    of_limits = {kind for kind in sessions if kind.startswith("rate_limit:usermanagement")}
    assert of_limits
    assert sessions - of_limits == {"session", "user:sessions"}
    assert "user" in caches
    assert not caches & sessions


def test_without_the_caches_everything_works_from_sql(
    client: FlaskClient, user: str, servers: Servers, app: Flask
) -> None:
    session = session_of(client)
    caches, _ = servers

    caches.kill()

    for first_name in ("Jo", "Johnny"):
        changed = client.patch(user, json={"firstName": first_name}, headers=bearer(session))
        assert changed.status_code == 200
        found = client.get(user, headers=bearer(session))
        assert json_of(found)["user"]["firstName"] == first_name
    assert client.post(REGISTER, json=JANE).status_code == 201
    assert client.post(LOGIN, json=CREDENTIALS).status_code == 200
    assert client.post(f"{API}/logout", headers=bearer(session)).status_code < 300
    assert client.get(user, headers=bearer(session)).status_code == 401
    assert not_ok(client) == {name_of(caches): "unavailable"}
    assert unseen_by_the_doctor(app) == ["redis caches"]


def test_without_the_sessions_logins_are_refused_and_the_rest_works(
    client: FlaskClient, user: str, servers: Servers, app: Flask
) -> None:
    session = session_of(client)
    _, sessions = servers

    sessions.kill()

    for refused in (
        client.get(user, headers=bearer(session)),
        client.post(LOGIN, json=CREDENTIALS),
        client.post(f"{API}/logout", headers=bearer(session)),
    ):
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
    assert client.post(REGISTER, json=JANE).status_code == 201
    assert services_of(app).cache.client.ping()
    assert not_ok(client) == {name_of(sessions): "unavailable"}
    assert unseen_by_the_doctor(app) == ["redis sessions"]


def test_with_full_memory_for_sessions_they_work_and_logins_are_refused(
    client: FlaskClient, user: str, servers: Servers
) -> None:
    session = session_of(client)
    get_session_client().execute("CONFIG", "SET", "maxmemory", "1")

    refused = client.post(LOGIN, json=CREDENTIALS)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert client.get(user, headers=bearer(session)).status_code == 200
    changed = client.patch(user, json={"firstName": "Jo"}, headers=bearer(session))
    assert changed.status_code == 200
    assert not_ok(client) == {name_of(servers[1]): "refusing"}
    assert client.post(f"{API}/logout", headers=bearer(session)).status_code < 300
    assert client.get(user, headers=bearer(session)).status_code == 401
