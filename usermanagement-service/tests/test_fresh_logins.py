"""Changes that require a fresh login, and authenticating again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisUnavailable
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of

from .conftest import (
    JANE,
    JOHN,
    LOGIN,
    NEW_PASSWORD,
    Headers,
    Json,
    LogIn,
    MakeApp,
    age_login,
    mails_in,
    register,
    session_of,
    user_path,
)

ME = f"{API}/users/me"
REAUTHENTICATE = f"{API}/session/reauthenticate"
RIGHT = {"password": JOHN["password"]}
WRONG = {"password": "wrong-horse-battery"}
NEW_EMAIL = {"email": "johnny@example.com"}
CHALLENGE = 'Bearer error="insufficient_user_authentication", max_age="300"'


@pytest.fixture
def stale(services: Services, headers: Headers) -> Headers:
    """Headers of a session whose login was five minutes and a second ago."""
    age_login(services, headers)
    return headers


@pytest.fixture
def stale_admin(services: Services, client: FlaskClient) -> Headers:
    """Headers of such a session of an admin."""
    register(client, JANE)
    services.users.set_role("jane_doe", "admin")
    headers = bearer(session_of(client, "jane_doe"))
    age_login(services, headers)
    return headers


def is_challenge(response: TestResponse) -> bool:
    """Whether a response requires a fresh login, as RFC 9470 says."""
    return (response.status_code, response.headers.get("WWW-Authenticate")) == (401, CHALLENGE)


def reauthenticated(client: FlaskClient, headers: Headers, body: Json = RIGHT) -> Headers:
    """Headers of the session after authenticating again."""
    response = client.post(REAUTHENTICATE, json=body, headers=headers)
    return bearer(json_of(response)["session_id"])


class TestStale:
    @pytest.mark.parametrize("more", [{}, {"password": None}, {"firstName": "Jo"}])
    def test_a_new_email_is_refused_without_the_password(
        self, client: FlaskClient, stale: Headers, services: Services, more: Json
    ) -> None:
        response = client.patch(ME, json=NEW_EMAIL | more, headers=stale)

        assert is_challenge(response)
        user = json_of(client.get(ME, headers=stale))["user"]
        assert (user["email"], user["firstName"]) == (JOHN["email"], JOHN["firstName"])
        assert mails_in(services, "email_verification") == []

    def test_a_password_in_the_request_is_as_good_as_a_fresh_login(
        self, client: FlaskClient, stale: Headers
    ) -> None:
        passwords = {"currentPassword": JOHN["password"], "newPassword": NEW_PASSWORD}

        wrong = client.patch(ME, json=NEW_EMAIL | WRONG, headers=stale)
        email = client.patch(ME, json=NEW_EMAIL | RIGHT, headers=stale)
        password = client.put(f"{ME}/password", json=passwords, headers=stale)

        assert [each.status_code for each in (wrong, email, password)] == [403, 200, 200]

    def test_a_new_password_always_requires_the_current_one(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        response = client.put(f"{ME}/password", json={"newPassword": NEW_PASSWORD}, headers=headers)

        assert problem_of(response) == (422, ["currentPassword"])

    def test_a_deletion_is_refused(self, client: FlaskClient, stale: Headers) -> None:
        assert is_challenge(client.delete(ME, headers=stale))
        assert client.get(ME, headers=stale).status_code == 200

    def test_admins_change_and_delete_nobody(
        self, client: FlaskClient, john: Json, stale_admin: Headers
    ) -> None:
        name = {"firstName": "Jo"}

        assert is_challenge(client.patch(user_path(john), json=name, headers=stale_admin))
        assert is_challenge(client.delete(user_path(john), headers=stale_admin))
        wrong = client.patch(user_path(john), json=name | WRONG, headers=stale_admin)
        assert wrong.status_code == 403
        right = client.patch(user_path(john), json=name | RIGHT, headers=stale_admin)
        assert json_of(right)["user"]["firstName"] == "Jo"

    def test_what_is_not_sensitive_is_done(self, client: FlaskClient, stale: Headers) -> None:
        response = client.patch(ME, json={"firstName": "Jo"}, headers=stale)

        assert response.status_code == 200


class TestReauthentication:
    def test_it_allows_what_was_refused_under_a_new_id(
        self, client: FlaskClient, stale: Headers
    ) -> None:
        fresh = reauthenticated(client, stale)

        assert client.patch(ME, json=NEW_EMAIL, headers=fresh).status_code == 200
        assert client.delete(ME, headers=fresh).status_code == 204
        assert client.get(ME, headers=stale).status_code == 401

    def test_browsers_get_the_new_cookie(self, client: FlaskClient, log_in: LogIn) -> None:
        cookie = {"Cookie": f"__Host-session={log_in()}"}

        response = client.post(REAUTHENTICATE, json=RIGHT, headers=cookie)
        foreign = client.post(
            REAUTHENTICATE, json=RIGHT, headers=cookie | {"Origin": "https://evil.example"}
        )

        session_id = json_of(response)["session_id"]
        assert response.headers["Set-Cookie"].startswith(f"__Host-session={session_id};")
        assert response.headers["Cache-Control"] == "no-store"
        assert foreign.status_code == 403

    def test_the_session_stays_the_same_one(self, client: FlaskClient, stale: Headers) -> None:
        before = json_of(client.get(f"{API}/session", headers=stale))

        after = json_of(client.get(f"{API}/session", headers=reauthenticated(client, stale)))

        assert after["created_at"] == before["created_at"]
        assert after["user_data"] == before["user_data"]
        assert after["auth_at"] > before["auth_at"]

    def test_a_wrong_password_changes_nothing(self, client: FlaskClient, stale: Headers) -> None:
        response = client.post(REAUTHENTICATE, json=WRONG, headers=stale)

        assert response.status_code == 403
        assert is_challenge(client.delete(ME, headers=stale))

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({}, ["password"]),
            ({"password": None}, ["password"]),
            ({"password": ["x"]}, ["password"]),
            ({"password": ""}, ["password"]),
            ({"password": "x" * 1025}, ["password"]),
            (RIGHT | {"username": "jane_doe"}, ["username"]),
        ],
    )
    def test_an_invalid_body_is_a_422(
        self, client: FlaskClient, headers: Headers, body: Json, fields: list[str]
    ) -> None:
        response = client.post(REAUTHENTICATE, json=body, headers=headers)

        assert problem_of(response) == (422, fields)

    def test_wrong_passwords_lock_the_account_for_logins_too(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        for number in range(10):
            address = {"REMOTE_ADDR": f"10.0.0.{number}"}
            client.post(REAUTHENTICATE, json=WRONG, headers=headers, environ_base=address)

        again = client.post(REAUTHENTICATE, json=RIGHT, headers=headers)
        login = client.post(LOGIN, json={"username": JOHN["username"], **RIGHT})

        assert (again.status_code, login.status_code) == (429, 429)
        assert int(again.headers["Retry-After"]) > 0

    def test_an_address_has_as_many_attempts_as_for_logins(
        self, make_app: MakeApp, log_in: LogIn
    ) -> None:
        client = make_app(rate_limit_login=RateLimit("login", 4, 60)).test_client(use_cookies=False)
        headers = bearer(log_in())

        client.post(LOGIN, json={})  # the second, after that of `log_in`
        attempts = [client.post(REAUTHENTICATE, json={}, headers=headers) for _ in range(3)]

        assert [each.status_code for each in attempts] == [422, 422, 429]

    def test_of_two_at_once_one_continues_the_session(self, app: Flask, headers: Headers) -> None:
        barrier = Barrier(2)

        def call(_: int) -> TestResponse:
            barrier.wait()
            return app.test_client(use_cookies=False).post(
                REAUTHENTICATE, json=RIGHT, headers=headers
            )

        with ThreadPoolExecutor(2) as pool:
            responses = sorted(pool.map(call, range(2)), key=lambda each: each.status_code)

        assert [each.status_code for each in responses] == [200, 401]
        client = app.test_client(use_cookies=False)
        session_id = json_of(responses[0])["session_id"]
        (session,) = json_of(client.get(f"{API}/sessions", headers=bearer(session_id)))["items"]
        assert session["current"]

    def test_a_session_that_is_ended_meanwhile_stays_ended(
        self, app: Flask, services: Services, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        headers, elsewhere = bearer(log_in()), bearer(log_in())
        client = app.test_client(use_cookies=False)
        verify = services.hasher.verify

        def verify_slowly(*arguments: str) -> bool:
            assert client.delete(f"{API}/sessions", headers=elsewhere).status_code == 204
            return verify(*arguments)

        monkeypatch.setattr(services.hasher, "verify", verify_slowly)
        response = client.post(REAUTHENTICATE, json=RIGHT, headers=headers)

        assert response.status_code == 401
        assert len(json_of(client.get(f"{API}/sessions", headers=elsewhere))["items"]) == 1

    def test_a_failure_at_the_last_moment_changes_nothing(
        self,
        client: FlaskClient,
        services: Services,
        stale: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RedisUnavailable("made for this test")

        with monkeypatch.context() as patch:
            patch.setattr(services.session_store, "rotate", fail)
            assert client.post(REAUTHENTICATE, json=RIGHT, headers=stale).status_code == 503

        assert is_challenge(client.delete(ME, headers=stale))
        assert client.delete(ME, headers=reauthenticated(client, stale)).status_code == 204

    def test_in_an_outage_it_is_a_503(self, make_app: MakeApp, own_redis: RedisServer) -> None:
        client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
        register(client)
        headers = bearer(session_of(client))
        own_redis.kill()

        response = client.post(REAUTHENTICATE, json=RIGHT, headers=headers)

        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0


def test_an_email_change_in_progress_fails_when_the_sessions_end(
    client: FlaskClient, services: Services, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends the sessions of a stolen account must not lose its address a moment later."""
    headers, elsewhere = bearer(log_in()), bearer(log_in())
    change = services.users.change

    def change_late(*arguments: object, **options: object) -> object:
        client.delete(f"{API}/sessions", headers=elsewhere)
        return change(*arguments, **options)  # type: ignore[arg-type]  # as they were given

    monkeypatch.setattr(services.users, "change", change_late)
    for more in ({}, RIGHT):
        headers = bearer(log_in())
        response = client.patch(ME, json=NEW_EMAIL | more, headers=headers)
        assert response.status_code == 401

    assert json_of(client.get(ME, headers=elsewhere))["user"]["email"] == JOHN["email"]


def test_the_description_says_how_to_authenticate(client: FlaskClient) -> None:
    paths = json_of(client.get("/openapi.json"))["paths"]

    for path, method in (("/users/me", "delete"), ("/users/{user_id}", "patch")):
        operation = paths[API + path][method]
        assert "five minutes" in operation["description"]
        assert operation["responses"]["401"] == {"$ref": "#/components/responses/401"}
    assert "insufficient_user_authentication" in (paths[REAUTHENTICATE]["post"]["description"])
