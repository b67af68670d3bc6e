"""`login_required`, on routes made for these tests."""

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import create_service, current_session, login_required


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
    app = create_service(
        "test", ServiceSettings.load(), title="Test", redis_client=redis_client, sessions=sessions
    )
    add_routes(app)
    return app.test_client(use_cookies=False)


def add_routes(app: Flask) -> None:
    @app.route("/mine", methods=["GET", "POST"])
    @login_required()
    def mine() -> Response:
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


def bearer(session_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {session_id}"}


def test_a_session_lets_its_user_through(client: FlaskClient, sessions: SessionStore) -> None:
    session = sessions.create(7, {"role": "user"})

    assert client.get("/mine", headers=bearer(session.session_id)).json == {"user_id": 7}
    assert client.get("/mine").status_code == 401
    assert client.get("/open").status_code == 200


def test_a_role_is_required(client: FlaskClient, sessions: SessionStore) -> None:
    user = sessions.create(7, {"role": "user"})
    nobody = sessions.create(8, {})
    admin = sessions.create(9, {"role": "admin"})

    statuses = [
        client.get("/admins", headers=bearer(session.session_id)).status_code
        for session in (user, nobody, admin)
    ]

    assert statuses == [403, 403, 200]


def test_a_fresh_login_is_required(
    client: FlaskClient, sessions: SessionStore, redis_client: RedisClient
) -> None:
    session = sessions.create(7, {})
    headers = bearer(session.session_id)
    assert client.get("/fresh", headers=headers).status_code == 200

    key = f"session:{session.session_id}"
    document = redis_client.get_json(key)
    long_ago = document["auth_at"] - timedelta(minutes=2) // timedelta(milliseconds=1)
    redis_client.set_json(key, {**document, "auth_at": long_ago}, ttl=60)

    stale = client.get("/fresh", headers=headers)
    assert stale.status_code == 403
    assert stale.json is not None
    assert "fresh login" in stale.json["error"]
    renewed = sessions.rotate(sessions.load(session.session_id))  # type: ignore[arg-type]  # is there
    assert client.get("/fresh", headers=bearer(renewed.session_id)).status_code == 200


def test_it_is_one_round_trip(
    client: FlaskClient, sessions: SessionStore, redis_client: RedisClient
) -> None:
    headers = bearer(sessions.create(7, {}).session_id)
    client.get("/mine", headers=headers)
    before = calls(redis_client)

    client.get("/mine", headers=headers)

    after = calls(redis_client)
    assert after["evalsha"] - before["evalsha"] == 1
    assert after["get"] - before["get"] == 1  # the script's own


def calls(client: RedisClient) -> dict[str, int]:
    stats = client.execute("INFO", "commandstats")
    return {name.removeprefix("cmdstat_"): value["calls"] for name, value in stats.items()}


@pytest.mark.parametrize("request_headers", [{}, {"Origin": "https://evil.example"}])
def test_what_a_browser_asks_before_is_answered_without_a_login(
    client: FlaskClient, request_headers: dict[str, str]
) -> None:
    assert client.options("/mine", headers=request_headers).status_code == 200


def test_two_services_share_a_session(
    client: FlaskClient, sessions: SessionStore, redis_client: RedisClient
) -> None:
    other = create_service(
        "other", ServiceSettings.load(), title="Other", redis_client=redis_client, sessions=sessions
    )
    add_routes(other)
    headers = bearer(sessions.create(7, {}).session_id)

    assert other.test_client().get("/mine", headers=headers).json == {"user_id": 7}
    assert client.get("/mine", headers=headers).json == {"user_id": 7}
    sessions.revoke_all(7, auth_epoch=1)
    assert other.test_client().get("/mine", headers=headers).status_code == 401
    assert client.get("/mine", headers=headers).status_code == 401
