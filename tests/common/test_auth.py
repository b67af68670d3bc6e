"""`login_required` and `services_only`: sessions, roles, recent logins and service tokens."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.settings import ConfigurationError, ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web import (
    current_service,
    current_session,
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
def make_client(make_service: Callable[..., Flask]) -> Callable[[], FlaskClient]:
    def make() -> FlaskClient:
        app = make_service(ServiceSettings.load(service_tokens=TOKENS))
        add_routes(app)
        return app.test_client(use_cookies=False)

    return make


@pytest.fixture
def client(make_client: Callable[[], FlaskClient]) -> FlaskClient:
    return make_client()


def add_routes(app: Flask) -> None:
    @app.route("/own", methods=["GET", "POST"])
    @login_required()
    def own() -> Response:
        return jsonify(user_id=current_session().user_id)

    @app.get("/admins")
    @login_required(role="admin")
    def admins() -> Response:
        return jsonify(user_id=current_session().user_id)

    @app.get("/fresh")
    @login_required(fresh_within=60)
    def fresh() -> Response:
        return jsonify(user_id=current_session().user_id)

    @app.get("/open")
    def open_to_all() -> Response:
        return jsonify(status="ok")

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


class TestSessions:
    def test_a_session_admits_its_user(self, client: FlaskClient, sessions: SessionStore) -> None:
        session = sessions.create(7, {"role": "user"})

        assert client.get("/own", headers=bearer(session.session_id)).json == {"user_id": 7}
        assert client.get("/own").status_code == 401
        assert client.get("/open").status_code == 200

    def test_a_role_is_required(self, client: FlaskClient, sessions: SessionStore) -> None:
        ids = [sessions.create(7, data).session_id for data in ({"role": "user"}, {})]
        ids.append(sessions.create(9, {"role": "admin"}).session_id)

        statuses = [client.get("/admins", headers=bearer(id_)).status_code for id_ in ids]

        assert statuses == [403, 403, 200]

    def test_a_recent_login_is_required(self, client: FlaskClient, sessions: SessionStore) -> None:
        session = sessions.create(7, {})
        headers = bearer(session.session_id)
        assert client.get("/fresh", headers=headers).status_code == 200

        key = f"session:{session.session_id}"
        document = sessions.client.get_json(key)
        long_ago = document["auth_at"] - timedelta(minutes=2) // timedelta(milliseconds=1)
        sessions.client.set_json(key, {**document, "auth_at": long_ago}, ttl=60)

        stale = client.get("/fresh", headers=headers)
        assert stale.status_code == 401
        challenge = 'Bearer error="insufficient_user_authentication", max_age="60"'
        assert stale.headers["WWW-Authenticate"] == challenge
        assert stale.json is not None
        assert "recent login" in stale.json["error"]
        renewed = sessions.rotate(sessions.load(session.session_id))  # type: ignore[arg-type]  # exists
        assert client.get("/fresh", headers=bearer(renewed.session_id)).status_code == 200

    @pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
    def test_a_preflight_request_needs_no_login(
        self, client: FlaskClient, headers: dict[str, str]
    ) -> None:
        assert client.options("/own", headers=headers).status_code == 200

    def test_two_services_share_a_session(
        self, make_client: Callable[[], FlaskClient], sessions: SessionStore
    ) -> None:
        clients = [make_client(), make_client()]
        headers = bearer(sessions.create(7, {}).session_id)

        before = [client.get("/own", headers=headers).json for client in clients]
        sessions.revoke_all(7, auth_epoch=1)
        after = [client.get("/own", headers=headers).status_code for client in clients]

        assert before == [{"user_id": 7}] * 2
        assert after == [401, 401]


def token(text: str) -> dict[str, str]:
    return {"X-Service-Token": text}


class TestServiceTokens:
    @pytest.mark.parametrize(
        ("text", "service"),
        [
            ("the-old-token-of-alpha", "alpha"),
            ("the-new-token-of-alpha", "alpha"),
            ("the-token-of-beta-xyz", "beta"),
        ],
    )
    def test_a_token_names_its_service(self, client: FlaskClient, text: str, service: str) -> None:
        assert client.post("/services", headers=token(text)).json == {"service": service}
        both = client.get("/both", headers=token(text))
        assert both.json == {"service": service, "user_id": None}

    @pytest.mark.parametrize("text", ["", "alpha", "the-old-token-of-alpha ,", TOKENS, "\xe9" * 20])
    def test_another_token_is_a_401(self, client: FlaskClient, text: str) -> None:
        environ = {"HTTP_X_SERVICE_TOKEN": text}

        for method, path in (("POST", "/services"), ("GET", "/both")):
            response = client.open(path, method=method, environ_overrides=environ)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_a_session_is_not_a_service(self, client: FlaskClient, sessions: SessionStore) -> None:
        john = bearer(sessions.create(7, {}).session_id)

        assert client.get("/both", headers=john).json == {"service": None, "user_id": 7}
        assert client.post("/services", headers=john).status_code == 401
        assert client.get("/both").status_code == 401
        assert client.get("/both", headers=john | token("x" * 20)).status_code == 401

    def test_openapi_describes_them(self, client: FlaskClient) -> None:
        document = client.get("/openapi.json").json
        assert document is not None

        assert document["paths"]["/services"]["post"]["security"] == [{"service": []}]
        assert document["paths"]["/both"]["get"]["security"] == [{"session": []}, {"service": []}]
        assert document["components"]["securitySchemes"]["service"]["name"] == "X-Service-Token"

    @pytest.mark.parametrize(
        "tokens", ["alpha", "alpha:short", ":a-token-of-nobody-at-all", "a:b,c"]
    )
    def test_malformed_tokens_prevent_the_start(self, tokens: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^SERVICE_TOKENS: "):
            ServiceSettings.load(service_tokens=tokens, _env_file=None)

    @pytest.mark.parametrize("odd", ["\n", " ", ",", "\u00e9", "\x7f", "\x00"])
    def test_a_token_that_no_header_can_have_prevents_the_start_and_is_not_shown(
        self, odd: str
    ) -> None:
        token = f"0123456789{odd}abcdef"

        with pytest.raises(ConfigurationError, match=r"^SERVICE_TOKEN: must consist of") as own:
            OutboxSettings.load(service_token=token, _env_file=None)
        with pytest.raises(ConfigurationError, match=r"^SERVICE_TOKENS: must ") as others:
            ServiceSettings.load(service_tokens=f"alpha:{token}", _env_file=None)

        assert "0123456789" not in f"{own.value} {others.value}"

    def test_a_line_break_after_a_token_prevents_the_start(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^SERVICE_TOKEN: must consist of"):
            OutboxSettings.load(service_token="0123456789abcdef\n", _env_file=None)
