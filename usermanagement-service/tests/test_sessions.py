"""Logging in and out, and what users see of their sessions."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from flask import Flask
from flask.testing import FlaskClient

from app.models import User
from common.pyportal_common.cache_handlers import RateLimit, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer

from .conftest import API, JOHN, LOGIN, REGISTER, bearer

RIGHT = {"username": "john_doe", "password": JOHN["password"]}
WRONG = {"username": "john_doe", "password": "wrong-horse-battery"}
LogIn = Callable[[], str]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a cookie jar: what is presented stands in the test."""
    return app.test_client(use_cookies=False)


@pytest.mark.usefixtures("john")
class TestLogin:
    @pytest.mark.parametrize(
        "name", [{"username": "john_doe"}, {"username": "JOHN_doe"}, {"email": "John@Example.com"}]
    )
    def test_by_username_or_email_in_any_case(
        self, client: FlaskClient, john: dict[str, Any], name: dict[str, str]
    ) -> None:
        answer = client.post(LOGIN, json={**name, "password": JOHN["password"]})

        assert answer.status_code == 200
        assert answer.json is not None
        assert answer.json["user"] == john
        assert answer.json["expires_in"] == 3600
        assert len(answer.json["session_id"]) == 43

    def test_the_session_is_in_redis(
        self, client: FlaskClient, redis_client: RedisClient, john: dict[str, Any]
    ) -> None:
        answer = client.post(LOGIN, json=RIGHT)

        assert answer.json is not None
        session = redis_client.get_json(f"session:{answer.json['session_id']}")
        assert session["user_id"] == john["id"]
        assert session["user_data"] == {"username": "john_doe", "role": "user"}

    def test_the_cookie_is_for_this_host_alone(self, client: FlaskClient) -> None:
        answer = client.post(LOGIN, json=RIGHT)

        assert answer.json is not None
        name, *attributes = answer.headers["Set-Cookie"].split("; ")
        assert name == f"__Host-session={answer.json['session_id']}"
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert not [attribute for attribute in attributes if attribute.startswith("Domain")]

    def test_wrong_either_way_is_one_answer(self, client: FlaskClient) -> None:
        wrong_password = client.post(LOGIN, json=WRONG)
        nobody = client.post(LOGIN, json={**WRONG, "username": "nobody"})

        assert wrong_password.status_code == nobody.status_code == 401
        assert wrong_password.json is not None
        assert nobody.json is not None
        assert wrong_password.json["error"] == nobody.json["error"]
        assert wrong_password.headers["WWW-Authenticate"] == "Bearer"
        assert "Set-Cookie" not in wrong_password.headers

    def test_wrong_either_way_takes_the_same_work(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One hash, of one cost. `make bench` shows what that comes to in time."""
        work: list[Parameters] = []
        verify = PasswordHasher.verify

        def note(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
            work.append(extract_parameters(password_hash))
            return bool(verify(hasher, password_hash, password))

        monkeypatch.setattr(PasswordHasher, "verify", note)
        client.post(LOGIN, json={"username": "john_doe", "password": "x" * 20})
        client.post(LOGIN, json={"username": "nobody", "password": "x" * 20})

        known, unknown = work
        assert known == unknown

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"username": "john_doe"},
            {"password": "x"},
            {**RIGHT, "email": "john@example.com"},
            {"username": "", "password": "x"},
            {"username": 7, "password": "x"},
            {"username": "john_doe", "password": ["x"]},
            {"username": "x" * 300, "password": "x"},
            {"username": "john_doe", "password": "x" * 2000},
            {**RIGHT, "role": "admin"},
        ],
    )
    def test_other_bodies_are_a_422(self, client: FlaskClient, body: dict[str, Any]) -> None:
        assert client.post(LOGIN, json=body).status_code == 422

    @pytest.mark.parametrize("name", ["*", "{a}", "a:b", "\x00", "\u202e", "' OR 1=1 --", "%", "é"])
    def test_hostile_names_are_a_401(self, client: FlaskClient, name: str) -> None:
        answer = client.post(LOGIN, json={"username": name, "password": "x"})

        assert answer.status_code in {401, 422}

    def test_an_id_that_was_planted_before_is_worth_nothing(
        self, app: Flask, redis_client: RedisClient, log_in: LogIn
    ) -> None:
        planted = log_in()  # the attacker's own, put into the victim's browser
        answer = app.test_client(use_cookies=False).post(
            LOGIN, json=RIGHT, headers={"Cookie": f"__Host-session={planted}"}
        )

        assert answer.json is not None
        assert answer.json["session_id"] != planted
        assert redis_client.exists(f"session:{planted}") == 0

    @pytest.mark.parametrize("email", ["jose\u0301@example.com", "jo@xn--bcher-kva.example"])
    def test_by_an_email_as_it_was_registered(self, client: FlaskClient, email: str) -> None:
        client.post(REGISTER, json={**JOHN, "username": "jose", "email": email})

        answer = client.post(LOGIN, json={"email": email, "password": JOHN["password"]})

        assert answer.status_code == 200

    def test_a_login_from_another_site_is_refused(self, client: FlaskClient) -> None:
        answer = client.post(LOGIN, json=RIGHT, headers={"Origin": "https://evil.example"})

        assert answer.status_code == 403


@pytest.mark.usefixtures("john")
class TestLimits:
    def test_ten_a_minute_for_an_address(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(rate_limit_login=RateLimit("login", 10, 60)).test_client()

        statuses = [client.post(LOGIN, json={}).status_code for _ in range(11)]

        assert statuses == [422] * 10 + [429]

    def test_ten_failures_lock_a_name_for_everybody(self, client: FlaskClient) -> None:
        failures = [
            client.post(LOGIN, json=WRONG, environ_base={"REMOTE_ADDR": f"10.0.0.{n}"})
            for n in range(10)
        ]
        locked = client.post(LOGIN, json=RIGHT)

        assert [answer.status_code for answer in failures] == [401] * 10
        assert locked.status_code == 429
        assert locked.json is not None
        assert 1 <= locked.json["retry_after"] <= 900
        assert locked.headers["X-RateLimit-Limit"] == "10"
        assert client.post(LOGIN, json={**WRONG, "username": "other"}).status_code == 401

    def test_a_success_gives_back_its_own_attempt_and_no_failure(self, client: FlaskClient) -> None:
        for _ in range(9):
            client.post(LOGIN, json=WRONG)
        assert [client.post(LOGIN, json=RIGHT).status_code for _ in range(3)] == [200] * 3

        assert client.post(LOGIN, json=WRONG).status_code == 401
        assert client.post(LOGIN, json=RIGHT).status_code == 429

    def test_names_are_locked_in_any_case(self, client: FlaskClient) -> None:
        for n in range(10):
            name = "john_doe" if n % 2 else "JOHN_DOE"
            client.post(LOGIN, json={**WRONG, "username": name})

        assert client.post(LOGIN, json=RIGHT).status_code == 429

    def test_a_hundred_at_once_get_ten_tries(self, app: Flask) -> None:
        def attempt(_: int) -> int:
            return app.test_client().post(LOGIN, json=WRONG).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(attempt, range(100)))

        assert statuses.count(401) <= 10
        assert set(statuses) <= {401, 429, 503}  # 503: no slot to compute a hash in


class TestWhoIsAsking:
    def test_a_bearer_token(self, client: FlaskClient, log_in: LogIn) -> None:
        answer = client.get(f"{API}/session", headers=bearer(log_in()))

        assert answer.status_code == 200
        assert answer.json is not None
        assert answer.json["user_data"] == {"username": "john_doe", "role": "user"}
        assert answer.json["expires_in"] == 3600

    def test_a_cookie(self, client: FlaskClient, log_in: LogIn) -> None:
        headers = {"Cookie": f"__Host-session={log_in()}"}

        assert client.get(f"{API}/session", headers=headers).status_code == 200

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
    def test_without_a_session_it_is_a_401(
        self, client: FlaskClient, headers: dict[str, str]
    ) -> None:
        answer = client.get(f"{API}/session", headers=headers)

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_both_and_different_is_a_400(self, client: FlaskClient, log_in: LogIn) -> None:
        one, other = log_in(), log_in()
        cookie = {"Cookie": f"__Host-session={one}"}

        assert client.get(f"{API}/session", headers=cookie | bearer(other)).status_code == 400
        assert client.get(f"{API}/session", headers=cookie | bearer(one)).status_code == 200

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
        self, client: FlaskClient, log_in: LogIn, headers: dict[str, str], status: int
    ) -> None:
        session_id = log_in()
        cookie = {"Cookie": f"__Host-session={session_id}"}

        written = client.post(f"{API}/session/refresh", headers=cookie | headers)
        by_token = client.post(f"{API}/session/refresh", headers=bearer(session_id) | headers)
        read = client.get(f"{API}/session", headers=cookie | headers)

        assert written.status_code == status
        assert by_token.status_code == 200
        assert read.status_code == 200


class TestSessions:
    def test_logging_out_ends_the_session(
        self, client: FlaskClient, log_in: LogIn, redis_client: RedisClient
    ) -> None:
        session_id = log_in()

        answer = client.post(f"{API}/logout", headers=bearer(session_id))

        assert answer.status_code == 204
        assert answer.data == b""
        assert "__Host-session=;" in answer.headers["Set-Cookie"]
        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 401
        assert redis_client.exists(f"session:{session_id}") == 0

    def test_refreshing_and_every_use_begin_the_idle_time_anew(
        self, client: FlaskClient, log_in: LogIn, redis_client: RedisClient
    ) -> None:
        session_id = log_in()
        for method, path in (("POST", "session/refresh"), ("GET", "session")):
            redis_client.expire(f"session:{session_id}", 10)

            answer = client.open(f"{API}/{path}", method=method, headers=bearer(session_id))

            assert answer.json is not None
            assert answer.json["expires_in"] == 3600
            assert redis_client.ttl(f"session:{session_id}") > 3500

    def test_the_list_names_sessions_without_their_ids(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        first, second = log_in(), log_in()

        answer = client.get(f"{API}/sessions", headers=bearer(second))

        assert answer.json is not None
        assert len(answer.json["items"]) == 2
        assert [item["current"] for item in answer.json["items"]].count(True) == 1
        assert answer.json["next"] is None
        assert first not in answer.text
        assert second not in answer.text

    def test_one_of_them_can_be_ended(self, client: FlaskClient, log_in: LogIn) -> None:
        here, there = log_in(), log_in()
        items = client.get(f"{API}/sessions", headers=bearer(here)).json["items"]  # type: ignore[index]
        other = next(item["id"] for item in items if not item["current"])

        ended = client.delete(f"{API}/sessions/{other}", headers=bearer(here))

        assert ended.status_code == 204
        assert client.get(f"{API}/session", headers=bearer(there)).status_code == 401
        assert client.get(f"{API}/session", headers=bearer(here)).status_code == 200
        again = client.delete(f"{API}/sessions/{other}", headers=bearer(here))
        assert again.status_code == 404

    def test_nobody_ends_anothers(self, client: FlaskClient, log_in: LogIn) -> None:
        johns = log_in()
        john_id = client.get(f"{API}/sessions", headers=bearer(johns)).json["items"][0]["id"]  # type: ignore[index]
        jane = {**JOHN, "username": "jane", "email": "jane@example.com"}
        client.post(REGISTER, json=jane)
        janes = client.post(LOGIN, json={"username": "jane", "password": JOHN["password"]}).json

        assert janes is not None
        answer = client.delete(f"{API}/sessions/{john_id}", headers=bearer(janes["session_id"]))

        assert answer.status_code == 404
        assert client.get(f"{API}/session", headers=bearer(johns)).status_code == 200

    def test_all_others_can_be_ended_and_this_one_too(
        self, client: FlaskClient, log_in: LogIn, database: Database
    ) -> None:
        first, second, here = log_in(), log_in(), log_in()

        others = client.delete(f"{API}/sessions", headers=bearer(here))

        assert others.status_code == 204
        for ended in (first, second):
            assert client.get(f"{API}/session", headers=bearer(ended)).status_code == 401
        assert client.get(f"{API}/session", headers=bearer(here)).status_code == 200

        everything = client.delete(f"{API}/sessions?all=true", headers=bearer(here))
        assert everything.status_code == 204
        assert client.get(f"{API}/session", headers=bearer(here)).status_code == 401
        with database.read() as tx:
            assert tx.query(User.auth_epoch).scalar() == 2
        assert client.get(f"{API}/session", headers=bearer(log_in())).status_code == 200


class TestOutage:
    def test_login_and_what_needs_one_are_a_503(
        self, make_app: Callable[..., Flask], own_redis: RedisServer
    ) -> None:
        client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
        client.post(REGISTER, json=JOHN)
        session_id = client.post(LOGIN, json=RIGHT).json["session_id"]  # type: ignore[index]
        own_redis.kill()

        for answer in (
            client.post(LOGIN, json=RIGHT),
            client.post(LOGIN, json=WRONG),
            client.get(f"{API}/session", headers=bearer(session_id)),
            client.post(f"{API}/logout", headers=bearer(session_id)),
        ):
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
        assert client.get(f"{API}/session").status_code == 401  # no need to ask Redis

    def test_a_session_is_there_again_after_sigkill_and_restart(
        self, make_app: Callable[..., Flask], start_redis: Callable[..., RedisServer]
    ) -> None:
        server = start_redis(appendfsync="always")
        client = make_app(redis_url=server.url).test_client(use_cookies=False)
        client.post(REGISTER, json=JOHN)
        session_id = client.post(LOGIN, json=RIGHT).json["session_id"]  # type: ignore[index]
        server.kill()
        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 503
        server.start()
        deadline = time.monotonic() + 4
        while client.get("/health").json["status"] != "ok":  # type: ignore[index]
            assert time.monotonic() < deadline

        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 200
