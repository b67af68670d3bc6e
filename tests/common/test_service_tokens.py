"""Routes for other services, and for users and services, made for these tests."""

from pathlib import Path

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.settings import ConfigurationError, ServiceSettings
from common.pyportal_common.web import (
    create_service,
    current_service,
    current_user_id,
    login_required,
    responses,
    services_only,
)

TOKENS = "alpha:the-old-token-of-alpha,alpha:the-new-token-of-alpha,beta:the-token-of-beta-xyz"


@pytest.fixture
def sessions(redis_client: RedisClient) -> SessionStore:
    return SessionStore(redis_client)


@pytest.fixture
def client(
    redis_client: RedisClient,
    sessions: SessionStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> FlaskClient:
    monkeypatch.chdir(tmp_path)
    settings = ServiceSettings.load(service_tokens=TOKENS)
    app = create_service(
        "test", settings, title="Test", redis_client=redis_client, sessions=sessions
    )
    add_routes(app)
    return app.test_client(use_cookies=False)


def add_routes(app: Flask) -> None:
    @app.post("/services")
    @services_only
    @responses(status=200)
    def services() -> Response:
        return jsonify(service=current_service())

    @app.get("/both")
    @login_required(allow_services=True)
    @responses(status=200)
    def both() -> Response:
        service = current_service()
        return jsonify(service=service, user_id=None if service else current_user_id())


def token(text: str) -> dict[str, str]:
    return {"X-Service-Token": text}


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("the-old-token-of-alpha", "alpha"),
        ("the-new-token-of-alpha", "alpha"),
        ("the-token-of-beta-xyz", "beta"),
    ],
)
def test_each_token_is_its_services(client: FlaskClient, text: str, service: str) -> None:
    assert client.post("/services", headers=token(text)).json == {"service": service}
    assert client.get("/both", headers=token(text)).json == {"service": service, "user_id": None}


@pytest.mark.parametrize("text", ["", "alpha", "the-old-token-of-alpha ,", TOKENS, "\xe9" * 20])
def test_any_other_is_a_401(client: FlaskClient, text: str) -> None:
    environ = {"HTTP_X_SERVICE_TOKEN": text}

    for answer in (
        client.post("/services", environ_overrides=environ),
        client.get("/both", environ_overrides=environ),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_session_is_no_service_and_none_is_neither(
    client: FlaskClient, sessions: SessionStore
) -> None:
    john = {"Authorization": f"Bearer {sessions.create(7, {}).session_id}"}

    assert client.get("/both", headers=john).json == {"service": None, "user_id": 7}
    assert client.post("/services", headers=john).status_code == 401
    assert client.get("/both").status_code == 401


def test_a_wrong_token_beside_a_session_is_a_401(
    client: FlaskClient, sessions: SessionStore
) -> None:
    john = {"Authorization": f"Bearer {sessions.create(7, {}).session_id}"}

    assert client.get("/both", headers=john | token("x" * 20)).status_code == 401


def test_it_is_described(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    assert document is not None

    assert document["paths"]["/services"]["post"]["security"] == [{"service": []}]
    assert document["paths"]["/both"]["get"]["security"] == [{"session": []}, {"service": []}]
    assert document["components"]["securitySchemes"]["service"]["name"] == "X-Service-Token"


@pytest.mark.parametrize("tokens", ["alpha", "alpha:short", ":a-token-of-nobody-at-all", "a:b,c"])
def test_tokens_that_cannot_be_used_stop_the_start(tokens: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^SERVICE_TOKENS: "):
        ServiceSettings.load(service_tokens=tokens, _env_file=None)
