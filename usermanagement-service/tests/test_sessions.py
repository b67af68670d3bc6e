"""Logging in and out, and the sessions of users."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from flask import Flask
from flask.testing import FlaskClient

from app.models import User
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of

from .conftest import (
    CREDENTIALS,
    JANE,
    JOHN,
    LOGIN,
    Headers,
    Json,
    LogIn,
    MakeApp,
    register,
    session_of,
)

SESSION = f"{API}/session"
SESSIONS = f"{API}/sessions"
WRONG = {**CREDENTIALS, "password": "wrong-horse-battery"}


def status_of(client: FlaskClient, session_id: str) -> int:
    return client.get(SESSION, headers=bearer(session_id)).status_code


@pytest.mark.usefixtures("john")
class TestLogin:
    @pytest.mark.parametrize(
        "name", [{"username": "john_doe"}, {"username": "JOHN_doe"}, {"email": "John@Example.com"}]
    )
    def test_by_username_or_email_in_any_case(
        self, client: FlaskClient, john: Json, name: dict[str, str]
    ) -> None:
        response = client.post(LOGIN, json={**name, "password": JOHN["password"]})

        assert response.status_code == 200
        body = json_of(response)
        assert body["user"] == john
        assert body["expires_in"] == 3600
        assert len(body["session_id"]) == 43
        assert response.headers["Cache-Control"] == "no-store"

    def test_the_session_is_in_redis(
        self, client: FlaskClient, redis_client: RedisClient, john: Json
    ) -> None:
        session = redis_client.get_json(f"session:{session_of(client)}")

        assert session["user_id"] == john["id"]
        assert session["user_data"] == {"username": "john_doe", "role": "user"}

    def test_the_cookie_is_for_this_host_only(self, client: FlaskClient) -> None:
        response = client.post(LOGIN, json=CREDENTIALS)

        name, *attributes = response.headers["Set-Cookie"].split("; ")
        assert name == f"__Host-session={json_of(response)['session_id']}"
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert not [attribute for attribute in attributes if attribute.startswith("Domain")]

    def test_a_wrong_name_and_a_wrong_password_get_one_response(self, client: FlaskClient) -> None:
        wrong_password = client.post(LOGIN, json=WRONG)
        wrong_name = client.post(LOGIN, json={**WRONG, "username": "nobody"})

        assert wrong_password.status_code == wrong_name.status_code == 401
        assert json_of(wrong_password)["error"] == json_of(wrong_name)["error"]
        assert wrong_password.headers["WWW-Authenticate"] == "Bearer"
        assert "Set-Cookie" not in wrong_password.headers

    def test_a_wrong_name_and_a_wrong_password_cost_the_same_work(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One hash of the same cost. `make bench` measures the time."""
        work: list[Parameters] = []
        verify = PasswordHasher.verify

        def record(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
            work.append(extract_parameters(password_hash))
            return bool(verify(hasher, password_hash, password))

        monkeypatch.setattr(PasswordHasher, "verify", record)
        client.post(LOGIN, json=WRONG)
        client.post(LOGIN, json={**WRONG, "username": "nobody"})

        known, unknown = work
        assert known == unknown

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"username": "john_doe"},
            {"password": "x"},
            {**CREDENTIALS, "email": "john@example.com"},
            {"username": "", "password": "x"},
            {"username": 7, "password": "x"},
            {"username": "john_doe", "password": ["x"]},
            {"username": "x" * 300, "password": "x"},
            {"username": "john_doe", "password": "x" * 2000},
            {**CREDENTIALS, "role": "admin"},
        ],
    )
    def test_an_invalid_body_is_a_422(self, client: FlaskClient, body: Json) -> None:
        assert client.post(LOGIN, json=body).status_code == 422

    @pytest.mark.parametrize("name", ["*", "{a}", "a:b", "\x00", "\u202e", "' OR 1=1 --", "%", "é"])
    def test_hostile_names_are_refused(self, client: FlaskClient, name: str) -> None:
        response = client.post(LOGIN, json={"username": name, "password": "x"})

        assert response.status_code in {401, 422}

    def test_a_planted_session_ends_at_login(
        self, client: FlaskClient, redis_client: RedisClient, log_in: LogIn
    ) -> None:
        planted = log_in()  # the attacker's own, set in the victim's browser
        headers = {"Cookie": f"__Host-session={planted}"}

        response = client.post(LOGIN, json=CREDENTIALS, headers=headers)

        assert json_of(response)["session_id"] != planted
        assert redis_client.exists(f"session:{planted}") == 0

    @pytest.mark.parametrize("email", ["jose\u0301@example.com", "jo@xn--bcher-kva.example"])
    def test_by_an_email_as_it_was_registered(self, client: FlaskClient, email: str) -> None:
        register(client, {**JOHN, "username": "jose", "email": email})

        response = client.post(LOGIN, json={"email": email, "password": JOHN["password"]})

        assert response.status_code == 200

    def test_a_login_from_another_site_is_a_403(self, client: FlaskClient) -> None:
        response = client.post(LOGIN, json=CREDENTIALS, headers={"Origin": "https://evil.example"})

        assert response.status_code == 403


@pytest.mark.usefixtures("john")
class TestLimits:
    def test_ten_logins_a_minute_per_client(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_login=RateLimit("login", 10, 60)).test_client()

        responses = [client.post(LOGIN, json={}) for _ in range(11)]

        assert [response.status_code for response in responses] == [422] * 10 + [429]
        assert json_of(responses[10])["error"] == "Rate limit exceeded"

    def test_ten_failures_lock_a_name_for_every_client(self, client: FlaskClient) -> None:
        failures = [
            client.post(LOGIN, json=WRONG, environ_base={"REMOTE_ADDR": f"10.0.0.{n}"})
            for n in range(10)
        ]
        locked = client.post(LOGIN, json=CREDENTIALS)

        assert [response.status_code for response in failures] == [401] * 10
        assert locked.status_code == 429
        body = json_of(locked)
        assert body["error"] == "Too many failed logins: this name is temporarily locked"
        assert 1 <= body["retry_after"] <= 900
        assert locked.headers["X-RateLimit-Limit"] == "10"
        assert client.post(LOGIN, json={**WRONG, "username": "other"}).status_code == 401

    def test_a_success_refunds_its_own_attempt_and_no_failure(self, client: FlaskClient) -> None:
        for _ in range(9):
            client.post(LOGIN, json=WRONG)
        assert [client.post(LOGIN, json=CREDENTIALS).status_code for _ in range(3)] == [200] * 3

        assert client.post(LOGIN, json=WRONG).status_code == 401
        assert client.post(LOGIN, json=CREDENTIALS).status_code == 429

    def test_a_name_is_locked_in_any_case(self, client: FlaskClient) -> None:
        for n in range(10):
            name = "john_doe" if n % 2 else "JOHN_DOE"
            client.post(LOGIN, json={**WRONG, "username": name})

        assert client.post(LOGIN, json=CREDENTIALS).status_code == 429

    def test_of_a_hundred_concurrent_attempts_ten_are_tried(self, app: Flask) -> None:
        def attempt(_: int) -> int:
            return app.test_client().post(LOGIN, json=WRONG).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(attempt, range(100)))

        assert statuses.count(401) <= 10
        assert set(statuses) <= {401, 429, 503}  # 503: no slot to compute a hash in time


class TestCredential:
    def test_a_bearer_token(self, client: FlaskClient, headers: Headers) -> None:
        response = client.get(SESSION, headers=headers)

        body = json_of(response)
        assert body["user_data"] == {"username": "john_doe", "role": "user"}
        assert body["expires_in"] == 3600
        assert response.headers["Cache-Control"] == "no-store"

    def test_a_cookie(self, client: FlaskClient, log_in: LogIn) -> None:
        headers = {"Cookie": f"__Host-session={log_in()}"}

        assert client.get(SESSION, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer nothing"},
            {"Authorization": "Basic am9objpkb2U="},
            {"Authorization": "Bearer " + "x" * 5000},
            {"Authorization": "Bearer *"},
            {"Authorization": "Bearer a:b{c}"},
            {"Cookie": "__Host-session=nothing"},
            {"Cookie": "session=nothing"},
        ],
    )
    def test_without_a_session_it_is_a_401(self, client: FlaskClient, headers: Headers) -> None:
        response = client.get(SESSION, headers=headers)

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_two_different_sessions_are_a_400(self, client: FlaskClient, log_in: LogIn) -> None:
        one, other = log_in(), log_in()
        cookie = {"Cookie": f"__Host-session={one}"}

        assert client.get(SESSION, headers=cookie | bearer(other)).status_code == 400
        assert client.get(SESSION, headers=cookie | bearer(one)).status_code == 200

    def test_two_session_cookies_are_a_400_unless_they_are_the_same(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        one, other = log_in(), log_in()

        def status(*session_ids: str) -> int:
            cookies = "; ".join(f"__Host-session={session_id}" for session_id in session_ids)
            return client.get(SESSION, headers={"Cookie": f"theme=dark; {cookies}"}).status_code

        assert [status(one, other), status(other, one), status("x", one)] == [400, 400, 400]
        assert [status(one), status(one, one), status("", one)] == [200, 200, 200]

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"Origin": "http://localhost"}, 200),
            ({"Origin": "http://localhost:5001"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://["}, 403),
            ({"Origin": "https://[::1"}, 403),
            ({"Origin": "https://localhost"}, 403),
            ({"Origin": "http://localhost:8080"}, 403),
            ({"Origin": "file://"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "none"}, 200),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ],
    )
    def test_a_write_by_cookie_from_another_site_is_a_403(
        self, client: FlaskClient, log_in: LogIn, headers: Headers, status: int
    ) -> None:
        session_id = log_in()
        cookie = {"Cookie": f"__Host-session={session_id}"}

        by_cookie = client.post(f"{SESSION}/refresh", headers=cookie | headers)
        by_token = client.post(f"{SESSION}/refresh", headers=bearer(session_id) | headers)
        read = client.get(SESSION, headers=cookie | headers)

        assert by_cookie.status_code == status
        assert by_token.status_code == 200
        assert read.status_code == 200


class TestSessions:
    def test_logging_out_ends_the_session(
        self, client: FlaskClient, log_in: LogIn, redis_client: RedisClient
    ) -> None:
        session_id = log_in()

        response = client.post(f"{API}/logout", headers=bearer(session_id))

        assert (response.status_code, response.data) == (204, b"")
        assert "__Host-session=;" in response.headers["Set-Cookie"]
        assert status_of(client, session_id) == 401
        assert redis_client.exists(f"session:{session_id}") == 0

    @pytest.mark.parametrize(("method", "path"), [("POST", f"{SESSION}/refresh"), ("GET", SESSION)])
    def test_a_refresh_and_every_use_reset_the_idle_timeout(
        self, client: FlaskClient, log_in: LogIn, redis_client: RedisClient, method: str, path: str
    ) -> None:
        session_id = log_in()
        redis_client.expire(f"session:{session_id}", 10)

        response = client.open(path, method=method, headers=bearer(session_id))

        assert json_of(response)["expires_in"] == 3600
        assert redis_client.ttl(f"session:{session_id}") > 3500

    def test_the_list_does_not_contain_the_session_ids(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        first, second = log_in(), log_in()

        response = client.get(SESSIONS, headers=bearer(second))

        page = json_of(response)
        assert [item["current"] for item in page["items"]] in ([True, False], [False, True])
        assert page["next"] is None
        assert first not in response.text
        assert second not in response.text
        assert response.headers["Cache-Control"] == "no-store"

    def test_one_session_can_be_ended(self, client: FlaskClient, log_in: LogIn) -> None:
        here, there = log_in(), log_in()
        items = json_of(client.get(SESSIONS, headers=bearer(here)))["items"]
        url = f"{SESSIONS}/{next(item['id'] for item in items if not item['current'])}"

        statuses = [client.delete(url, headers=bearer(here)).status_code for _ in range(2)]

        assert statuses == [204, 404]
        assert (status_of(client, here), status_of(client, there)) == (200, 401)

    def test_users_end_no_session_of_another(self, client: FlaskClient, log_in: LogIn) -> None:
        johns = log_in()
        (item,) = json_of(client.get(SESSIONS, headers=bearer(johns)))["items"]
        register(client, JANE)
        headers = bearer(session_of(client, "jane_doe"))

        assert client.delete(f"{SESSIONS}/{item['id']}", headers=headers).status_code == 404
        assert status_of(client, johns) == 200

    def test_the_other_sessions_can_be_ended_and_the_current_one_too(
        self, client: FlaskClient, log_in: LogIn, database: Database
    ) -> None:
        sessions = (_, _, here) = (log_in(), log_in(), log_in())

        others = client.delete(SESSIONS, headers=bearer(here))

        assert others.status_code == 204
        assert [status_of(client, each) for each in sessions] == [401, 401, 200]

        everything = client.delete(f"{SESSIONS}?all=true", headers=bearer(here))
        assert everything.status_code == 204
        assert status_of(client, here) == 401
        with database.read() as tx:
            assert tx.query(User.auth_epoch).scalar() == 2
        assert status_of(client, log_in()) == 200

    @pytest.mark.parametrize("query", ["", "?all=true"])
    def test_they_end_even_if_their_index_has_lost_them(
        self, client: FlaskClient, log_in: LogIn, services: Services, query: str
    ) -> None:
        sessions = (_, _, here) = (log_in(), log_in(), log_in())
        store = services.session_store
        current = store.load(here)
        assert current is not None
        store.client.delete(f"user:sessions:{current.user_id}")

        assert client.delete(SESSIONS + query, headers=bearer(here)).status_code == 204

        assert [status_of(client, each) for each in sessions] == [401, 401, 401]

    def test_an_unknown_parameter_ends_no_session(self, client: FlaskClient, log_in: LogIn) -> None:
        here, there = log_in(), log_in()

        response = client.delete(f"{SESSIONS}?everything=true", headers=bearer(here))

        assert problem_of(response) == (422, ["everything"])
        assert status_of(client, there) == 200


class TestOutage:
    def test_a_login_is_a_503(self, make_app: MakeApp, own_redis: RedisServer) -> None:
        client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
        register(client)
        own_redis.kill()

        for body in (CREDENTIALS, WRONG):
            response = client.post(LOGIN, json=body)
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
        assert client.get(SESSION).status_code == 401  # decided without Redis

    def test_a_session_survives_sigkill_and_restart(
        self, make_app: MakeApp, start_redis: Callable[..., RedisServer]
    ) -> None:
        server = start_redis(appendfsync="always")
        client = make_app(redis_url=server.url).test_client(use_cookies=False)
        register(client)
        session_id = session_of(client)
        server.kill()
        assert status_of(client, session_id) == 503
        server.start()
        deadline = time.monotonic() + 4
        while json_of(client.get("/health"))["checks"]["redis"] != "ok":
            assert time.monotonic() < deadline

        assert status_of(client, session_id) == 200
