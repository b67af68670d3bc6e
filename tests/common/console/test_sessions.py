"""The page about the sessions of a user, in the service that has the users."""

from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisUnavailable, SessionStore, get_session_client
from common.pyportal_common.testing.kit import session_headers

from .pages import Headers, MakeApp, audited, confirm, pages_and_acts, text_of


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(has_users=True)


@pytest.fixture
def store(app: Flask) -> SessionStore:  # noqa: ARG001  it sets the server of sessions
    return SessionStore(get_session_client())


def test_only_the_service_with_the_users_has_the_page(make_app: MakeApp) -> None:
    assert not [path for _, path in pages_and_acts(make_app()) if "sessions" in path]


def test_only_admins_see_and_end_sessions(app: Flask, client: FlaskClient) -> None:
    user = session_headers(7)

    for method, path in pages_and_acts(app):
        if "sessions" in path:
            assert client.open(path, method=method).status_code == 303
            assert client.open(path, method=method, headers=user).status_code == 403


@pytest.mark.parametrize("user", ["7", "john", "john@example.com"])
def test_the_sessions_of_a_user_are_listed_without_secrets(
    client: FlaskClient, admin: Headers, store: SessionStore, user: str
) -> None:
    origin = {"device": "Firefox on <b>Linux</b>", "network": "192.0.2.0/24"}
    session = store.create(7, {"role": "user", "email": "a@example.org"}, origin=origin)
    store.create(8, {"role": "user"})

    page = client.get(f"/console/sessions?user={user}", headers=admin)

    text = text_of(page)
    assert "Sessions of user 7" in text
    assert f"{session.public_id} Firefox on <b>Linux</b> 192.0.2.0/24 1 s ago" in text
    assert text.count(" ago ") <= 3
    for secret in (session.session_id, "a@example.org", "<b>"):
        assert secret not in page.text


def test_the_own_session_is_marked(
    client: FlaskClient, admin: Headers, store: SessionStore
) -> None:
    store.create(1, {"role": "admin"})

    text = text_of(client.get("/console/sessions?user=1", headers=admin))

    assert text.count("this one") == 1


@pytest.mark.parametrize("user", ["nobody", "<b>", "-1", "7.0", "\u0667", "9" * 30])
def test_an_unknown_user_is_a_404(client: FlaskClient, admin: Headers, user: str) -> None:
    page = client.get("/console/sessions", query_string={"user": user}, headers=admin)

    assert f"No user {user}" in text_of(page, 404)
    assert "<b>" not in page.text


def test_a_user_without_sessions(client: FlaskClient, admin: Headers) -> None:
    assert "no session" in text_of(client.get("/console/sessions?user=9", headers=admin))


def test_one_session_ends_after_a_confirmation(
    app: Flask, client: FlaskClient, admin: Headers, store: SessionStore
) -> None:
    first, second = (store.create(7, {"role": "user"}) for _ in range(2))
    form = {"session": first.public_id, "back": "/console/sessions?user=john"}

    asked = client.post("/console/sessions/7/revoke", data=form, headers=admin)
    assert "End a session of user 7?" in text_of(asked)
    assert len(store.list(7)) == 2
    done = confirm(client, admin, asked)

    assert done.headers["Location"] == "/console/sessions?user=john"
    assert [each.session_id for each in store.list(7)] == [second.session_id]
    assert audited(app) == [("user=1", "sessions revoke", "user=7", 1)]


def test_a_session_that_has_ended_or_is_of_another_user_is_a_404(
    app: Flask, client: FlaskClient, admin: Headers, store: SessionStore
) -> None:
    other = store.create(8, {"role": "user"})

    for session in (other.public_id, "x", other.session_id):
        form = {"session": session, "confirmed": "true"}
        page = client.post("/console/sessions/7/revoke", data=form, headers=admin)
        assert page.status_code in {404, 422}

    assert store.list(8)
    assert audited(app) == []


def test_all_sessions_of_a_user_end(
    app: Flask, client: FlaskClient, admin: Headers, store: SessionStore
) -> None:
    for user_id in (7, 7, 8):
        store.create(user_id, {"role": "user"})

    asked = client.post("/console/sessions/7/revoke", data={"back": ""}, headers=admin)
    assert "End 2 sessions of user 7?" in text_of(asked)
    confirm(client, admin, asked)

    assert (len(store.list(7)), len(store.list(8))) == (0, 1)
    assert audited(app) == [("user=1", "sessions revoke", "user=7", 2)]


def test_a_notice_says_that_they_end_when_redis_is_back(
    app: Flask,
    client: FlaskClient,
    admin: Headers,
    store: SessionStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RedisUnavailable("made for this test")

    store.create(7, {"role": "user"})
    monkeypatch.setattr(SessionStore, "revoke_as", fail)

    asked = client.post("/console/sessions/7/revoke", data={"back": ""}, headers=admin)
    done = confirm(client, admin, asked)

    notice = unquote(done.headers["Set-Cookie"])
    assert "The sessions of user 7 end when Redis is available again" in notice
    assert audited(app) == [("user=1", "sessions revoke", "user=7", 1)]


def test_a_login_in_progress_ends_too_so_none_is_enough(
    app: Flask, client: FlaskClient, admin: Headers
) -> None:
    asked = client.post("/console/sessions/7/revoke", data={"back": ""}, headers=admin)
    assert "Any login in progress ends too" in text_of(asked)

    confirm(client, admin, asked)

    assert audited(app) == [("user=1", "sessions revoke", "user=7", 0)]
