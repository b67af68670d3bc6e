"""Users over HTTP, and by command: who may see and change whom, and what is cached."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from app.models import User
from common.pyportal_common.cache_handlers import RedisClient, RedisUnavailable, SessionStore
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer

from .conftest import API, JOHN, LOGIN, REGISTER, bearer

JANE = {**JOHN, "username": "jane_doe", "email": "jane@example.com"}
NEW = "another-horse-battery"
LogIn = Callable[[], str]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a cookie jar: what is presented stands in the test."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def jane(client: FlaskClient) -> dict[str, Any]:
    answer = client.post(REGISTER, json=JANE)
    assert answer.json is not None
    user: dict[str, Any] = answer.json["user"]
    return user


def session_of(client: FlaskClient, name: str, password: str = JOHN["password"]) -> str:
    answer = client.post(LOGIN, json={"username": name, "password": password})
    assert answer.json is not None, answer.status
    return str(answer.json["session_id"])


@pytest.fixture
def admin(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Headers of an admin's session."""
    monkeypatch.setenv("ADMIN_PASSWORD", JOHN["password"])
    made = app.test_cli_runner().invoke(
        args=["users", "create-admin", "--username", "root", "--email", "root@example.com"]
    )
    assert made.exit_code == 0, made.output
    return bearer(session_of(client, "root"))


def path(user: dict[str, Any], *more: str) -> str:
    return "/".join([f"{API}/users/{user['id']}", *more])


class TestRead:
    def test_users_see_themselves(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn
    ) -> None:
        answer = client.get(path(john), headers=bearer(log_in()))

        assert answer.status_code == 200
        assert answer.json == {"user": john}

    def test_and_nobody_else(
        self, client: FlaskClient, jane: dict[str, Any], log_in: LogIn
    ) -> None:
        assert client.get(path(jane), headers=bearer(log_in())).status_code == 403
        assert client.get(path(jane)).status_code == 401

    def test_admins_see_anybody(
        self, client: FlaskClient, jane: dict[str, Any], admin: dict[str, str]
    ) -> None:
        assert client.get(path(jane), headers=admin).json == {"user": jane}
        assert client.get(f"{API}/users/999999", headers=admin).status_code == 404

    @pytest.mark.parametrize("user_id", ["0", "-1", "x", "1.5", "9" * 30, "%00", "*"])
    def test_what_is_no_id_is_a_404(
        self, client: FlaskClient, admin: dict[str, str], user_id: str
    ) -> None:
        assert client.get(f"{API}/users/{user_id}", headers=admin).status_code == 404

    def test_a_second_read_asks_no_sql(
        self,
        client: FlaskClient,
        app: Flask,
        john: dict[str, Any],
        log_in: LogIn,
        redis_client: RedisClient,
    ) -> None:
        headers = bearer(log_in())
        redis_client.delete(f"user:{john['id']}")
        client.get(path(john), headers=headers)
        asked: list[str] = []
        engine = app.extensions["usermanagement"].database.engine
        event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))

        assert client.get(path(john), headers=headers).json == {"user": john}

        assert asked == []

    def test_the_cache_is_filled_by_the_read(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn, redis_client: RedisClient
    ) -> None:
        headers = bearer(log_in())
        redis_client.delete(f"user:{john['id']}")

        client.get(path(john), headers=headers)

        assert redis_client.get_json(f"user:{john['id']}") == john


class TestReadByServices:
    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(service_tokens="notification:0123456789abcdef")

    def test_other_services_see_anybody(self, client: FlaskClient, john: dict[str, Any]) -> None:
        headers = {"X-Service-Token": "0123456789abcdef"}

        assert client.get(path(john), headers=headers).json == {"user": john}
        assert client.get(f"{API}/users/999999", headers=headers).status_code == 404

    def test_with_a_token_that_is_none_nobody_does(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn
    ) -> None:
        for headers in ({"X-Service-Token": "x"}, bearer(log_in()) | {"X-Service-Token": ""}):
            assert client.get(path(john), headers=headers).status_code == 401

    def test_they_may_do_no_more_than_that(self, client: FlaskClient, john: dict[str, Any]) -> None:
        headers = {"X-Service-Token": "0123456789abcdef"}

        for answer in (
            client.patch(path(john), json={"firstName": "X"}, headers=headers),
            client.delete(path(john), headers=headers),
            client.get(f"{API}/users", headers=headers),
        ):
            assert answer.status_code == 401


class TestList:
    def test_by_username_and_by_email(
        self,
        client: FlaskClient,
        john: dict[str, Any],
        admin: dict[str, str],
        redis_client: RedisClient,
    ) -> None:
        redis_client.delete("user:lookup:username:john_doe")
        for query in ("username=John_Doe", "email=JOHN@example.com", "username=john_doe"):
            answer = client.get(f"{API}/users?{query}", headers=admin)

            assert answer.json == {"items": [john], "next": None}
        assert redis_client.get("user:lookup:username:john_doe") == str(john["id"])

    def test_a_name_that_nobody_has_is_remembered_until_somebody_takes_it(
        self, client: FlaskClient, admin: dict[str, str], redis_client: RedisClient
    ) -> None:
        url = f"{API}/users?username=jane_doe"
        assert client.get(url, headers=admin).json == {"items": [], "next": None}
        assert redis_client.get("user:lookup:username:jane_doe") == "null"

        client.post(REGISTER, json=JANE)

        answer = client.get(url, headers=admin)
        assert answer.json is not None
        assert [item["username"] for item in answer.json["items"]] == ["jane_doe"]

    def test_pages(
        self, client: FlaskClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules["app.routes"], "_PAGE", 2)
        for n in range(4):
            client.post(REGISTER, json={**JOHN, "username": f"u-{n}", "email": f"u{n}@example.com"})
        seen: list[str] = []
        cursor: str | None = "0"
        while cursor is not None:
            answer = client.get(f"{API}/users?cursor={cursor}", headers=admin)
            assert answer.json is not None
            assert len(answer.json["items"]) <= 2
            seen += [item["username"] for item in answer.json["items"]]
            cursor = answer.json["next"]

        assert seen == ["root", "u-0", "u-1", "u-2", "u-3"]

    def test_a_parameter_twice_and_one_that_is_unknown_are_named(
        self, client: FlaskClient, admin: dict[str, str]
    ) -> None:
        for query, named in (
            ("username=a&username=b", "username"),
            ("name=a", "name"),
            ("username=a&email=b", "query"),
        ):
            answer = client.get(f"{API}/users?{query}", headers=admin)

            assert answer.status_code == 422
            assert answer.json is not None
            assert answer.json["details"][0]["field"] == named

    @pytest.mark.parametrize("cursor", ["x", "-1", "1" * 30, "", "1;", "é"])
    def test_a_cursor_that_is_none_is_a_422(
        self, client: FlaskClient, admin: dict[str, str], cursor: str
    ) -> None:
        answer = client.get(f"{API}/users", query_string={"cursor": cursor}, headers=admin)

        assert answer.status_code == 422
        assert answer.json is not None
        assert answer.json["details"][0]["field"] == "cursor"

    @pytest.mark.parametrize("name", ["*", "{}", "%00", "a:b", "x" * 5000, "%F0%9F%9B%AB", " "])
    def test_hostile_names_find_nobody(
        self, client: FlaskClient, admin: dict[str, str], name: str
    ) -> None:
        answer = client.get(f"{API}/users?username={name}", headers=admin)

        assert answer.status_code in {200, 422}
        if answer.status_code == 200:
            assert answer.json == {"items": [], "next": None}

    def test_only_for_admins(self, client: FlaskClient, log_in: LogIn) -> None:
        assert client.get(f"{API}/users", headers=bearer(log_in())).status_code == 403
        assert client.get(f"{API}/users").status_code == 401


class TestChange:
    def test_what_is_named_is_changed_and_seen_at_once(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn
    ) -> None:
        headers = bearer(log_in())
        client.get(path(john), headers=headers)

        changed = client.patch(
            path(john), json={"firstName": "Johnny", "lastName": None}, headers=headers
        )

        assert changed.status_code == 200
        assert changed.json is not None
        user = changed.json["user"]
        assert (user["firstName"], user["lastName"]) == ("Johnny", None)
        assert user["dateOfBirth"] == john["dateOfBirth"]
        assert user["updatedAt"] > john["updatedAt"]
        assert client.get(path(john), headers=headers).json == {"user": user}

    def test_another_email_needs_the_password(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn, admin: dict[str, str]
    ) -> None:
        headers = bearer(log_in())
        new = {"email": "Johnny@example.com"}
        client.get(f"{API}/users?email=john@example.com", headers=admin)
        client.get(f"{API}/users?email=johnny@example.com", headers=admin)

        assert client.patch(path(john), json=new, headers=headers).status_code == 403
        wrong = client.patch(path(john), json={**new, "password": "wrong"}, headers=headers)
        assert wrong.status_code == 403
        right = client.patch(
            path(john), json={**new, "password": JOHN["password"]}, headers=headers
        )

        assert right.status_code == 200
        old_name = client.get(f"{API}/users?email=john@example.com", headers=admin)
        new_name = client.get(f"{API}/users?email=johnny@example.com", headers=admin)
        assert old_name.json == {"items": [], "next": None}
        assert new_name.json is not None
        assert new_name.json["items"][0]["email"] == "Johnny@example.com"

    def test_a_taken_email_is_a_409(
        self, client: FlaskClient, john: dict[str, Any], jane: dict[str, Any], log_in: LogIn
    ) -> None:
        answer = client.patch(
            path(john),
            json={"email": jane["email"], "password": JOHN["password"]},
            headers=bearer(log_in()),
        )

        assert answer.status_code == 409
        assert answer.json is not None
        assert answer.json["details"] == [{"field": "email", "message": "is taken"}]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"password": "x"},
            {"username": "other"},
            {"role": "admin"},
            {"email": None},
            {"email": "x"},
            {"firstName": ""},
            {"firstName": 7},
            {"dateOfBirth": "2999-01-01"},
            {"authEpoch": 7},
            {"id": 1},
        ],
        ids=str,
    )
    def test_other_bodies_are_a_422(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn, body: dict[str, Any]
    ) -> None:
        answer = client.patch(path(john), json=body, headers=bearer(log_in()))

        assert answer.status_code == 422
        assert client.get(path(john), headers=bearer(log_in())).json == {"user": john}

    def test_nobody_changes_another(
        self, client: FlaskClient, jane: dict[str, Any], log_in: LogIn
    ) -> None:
        headers = bearer(log_in())

        for answer in (
            client.patch(path(jane), json={"firstName": "X"}, headers=headers),
            client.delete(path(jane), headers=headers),
            client.put(
                path(jane, "password"),
                json={"currentPassword": JOHN["password"], "newPassword": NEW},
                headers=headers,
            ),
        ):
            assert answer.status_code == 403

    def test_changes_and_reads_at_once_end_with_the_last_change(
        self, app: Flask, john: dict[str, Any], log_in: LogIn
    ) -> None:
        headers = bearer(log_in())

        def act(n: int) -> int:
            client = app.test_client(use_cookies=False)
            if n % 4:
                return client.get(path(john), headers=headers).status_code
            body = {"firstName": f"John{n}"}
            return client.patch(path(john), json=body, headers=headers).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(act, range(120))) == {200}

        shown = app.test_client(use_cookies=False).get(path(john), headers=headers).json
        with app.extensions["usermanagement"].database.read() as tx:
            stored = tx.get_one(User, john["id"]).first_name
        assert shown is not None
        assert shown["user"]["firstName"] == stored


class TestPassword:
    def test_a_new_one_ends_the_other_sessions_and_renews_this_one(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn
    ) -> None:
        here, elsewhere = log_in(), log_in()

        answer = client.put(
            path(john, "password"),
            json={"currentPassword": JOHN["password"], "newPassword": NEW},
            headers=bearer(here),
        )

        assert answer.status_code == 200
        assert answer.json is not None
        renewed = answer.json["session_id"]
        statuses = [
            client.get(f"{API}/session", headers=bearer(session_id)).status_code
            for session_id in (here, elsewhere, renewed)
        ]
        assert statuses == [401, 401, 200]
        old = {"username": "john_doe", "password": JOHN["password"]}
        assert client.post(LOGIN, json=old).status_code == 401
        assert session_of(client, "john_doe", NEW)
        assert f"__Host-session={renewed}" in answer.headers["Set-Cookie"]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"currentPassword": "wrong", "newPassword": NEW}, 403),
            ({"currentPassword": JOHN["password"], "newPassword": "short"}, 422),
            ({"currentPassword": JOHN["password"], "newPassword": "password123"}, 422),
            ({"currentPassword": JOHN["password"], "newPassword": "john_doe"}, 422),
            ({"newPassword": NEW}, 422),
            ({"currentPassword": JOHN["password"]}, 422),
            ({"currentPassword": 7, "newPassword": NEW}, 422),
        ],
        ids=str,
    )
    def test_otherwise_all_stays_as_it_is(
        self,
        client: FlaskClient,
        john: dict[str, Any],
        log_in: LogIn,
        body: dict[str, Any],
        status: int,
    ) -> None:
        session_id = log_in()

        answer = client.put(path(john, "password"), json=body, headers=bearer(session_id))

        assert answer.status_code == status
        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 200
        assert log_in()

    def test_a_stolen_session_cannot_try_passwords(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn
    ) -> None:
        headers = bearer(log_in())
        body = {"currentPassword": "wrong", "newPassword": NEW}

        statuses = [
            client.put(path(john, "password"), json=body, headers=headers).status_code
            for _ in range(11)
        ]

        assert statuses == [403] * 10 + [429]

    def test_a_login_on_its_way_does_not_survive_a_new_password(
        self, client: FlaskClient, app: Flask, john: dict[str, Any], log_in: LogIn
    ) -> None:
        """It has compared the old password when the new one is set, and begins only then."""
        headers = bearer(log_in())
        passwords = app.extensions["usermanagement"].passwords
        verify = passwords.verify

        def verify_and_dawdle(*given: Any) -> bool:
            right: bool = verify(*given)
            passwords.verify = verify
            changed = app.test_client(use_cookies=False).put(
                path(john, "password"),
                json={"currentPassword": JOHN["password"], "newPassword": NEW},
                headers=headers,
            )
            assert changed.status_code == 200
            return right

        passwords.verify = verify_and_dawdle
        answer = client.post(LOGIN, json={"username": "john_doe", "password": JOHN["password"]})

        assert answer.status_code == 401


class TestDelete:
    def test_a_deleted_user_is_gone_with_all_their_sessions(
        self,
        client: FlaskClient,
        john: dict[str, Any],
        log_in: LogIn,
        admin: dict[str, str],
    ) -> None:
        here, elsewhere = log_in(), log_in()
        client.get(path(john), headers=bearer(here))

        assert client.delete(path(john), headers=bearer(here)).status_code == 204

        for session_id in (here, elsewhere):
            assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 401
        assert client.get(path(john), headers=admin).status_code == 404
        assert client.get(f"{API}/users?username=john_doe", headers=admin).json == {
            "items": [],
            "next": None,
        }
        assert client.post(REGISTER, json=JOHN).status_code == 201

    def test_an_admin_deletes_anybody(
        self, client: FlaskClient, jane: dict[str, Any], admin: dict[str, str]
    ) -> None:
        janes = session_of(client, "jane_doe")

        assert client.delete(path(jane), headers=admin).status_code == 204
        assert client.delete(path(jane), headers=admin).status_code == 404
        assert client.get(f"{API}/session", headers=bearer(janes)).status_code == 401


class TestAtOnce:
    """Several requests for one user, side by side."""

    @pytest.fixture(autouse=True)
    def _dawdle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between reading a row and changing it, so that what is not locked overlaps."""
        users = sys.modules["app.users"]
        locked = users.locked

        def locked_and_slow(*given: Any) -> User:
            row: User = locked(*given)
            time.sleep(0.1)
            return row

        monkeypatch.setattr(users, "locked", locked_and_slow)

    def side_by_side(
        self, app: Flask, requests: list[tuple[str, str, dict[str, Any] | None]], headers: Any
    ) -> list[int]:
        def send(request: tuple[str, str, dict[str, Any] | None]) -> int:
            method, url, body = request
            client = app.test_client(use_cookies=False)
            return client.open(url, method=method, json=body, headers=headers).status_code

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(send, requests))

    def test_of_eight_new_passwords_one_is_set(
        self, app: Flask, john: dict[str, Any], log_in: LogIn
    ) -> None:
        bodies = [
            {"currentPassword": JOHN["password"], "newPassword": f"{NEW}-{n}"} for n in range(8)
        ]

        statuses = self.side_by_side(
            app, [("PUT", path(john, "password"), body) for body in bodies], bearer(log_in())
        )

        assert statuses.count(200) == 1
        assert set(statuses) <= {200, 401, 403, 409, 429, 503}
        with app.extensions["usermanagement"].database.read() as tx:
            assert tx.get_one(User, john["id"]).auth_epoch == 1
        acknowledged = bodies[statuses.index(200)]["newPassword"]
        assert session_of(app.test_client(use_cookies=False), "john_doe", acknowledged)

    def test_a_change_beside_a_deletion_is_a_200_or_a_404(
        self, app: Flask, client: FlaskClient, admin: dict[str, str]
    ) -> None:
        for n in range(5):
            body = {**JOHN, "username": f"u-{n}", "email": f"u{n}@example.com"}
            user = client.post(REGISTER, json=body).json["user"]  # type: ignore[index]
            change = ("PATCH", path(user), {"firstName": "X"})

            statuses = self.side_by_side(
                app, [change, change, ("DELETE", path(user), None), change], admin
            )

            assert statuses[2] == 204
            assert set(statuses) <= {200, 204, 404}

    def test_changed_addresses_leave_no_old_lookup(
        self,
        app: Flask,
        client: FlaskClient,
        john: dict[str, Any],
        log_in: LogIn,
        admin: dict[str, str],
    ) -> None:
        headers = bearer(log_in())
        addresses = [f"john{n}@example.com" for n in range(4)]
        for address in [JOHN["email"], *addresses]:
            client.get(f"{API}/users", query_string={"email": address}, headers=admin)
        bodies = [{"email": address, "password": JOHN["password"]} for address in addresses]

        self.side_by_side(app, [("PATCH", path(john), body) for body in bodies], headers)

        now = client.get(path(john), headers=headers).json["user"]["email"]  # type: ignore[index]
        for address in [JOHN["email"], *addresses]:
            answer = client.get(f"{API}/users", query_string={"email": address}, headers=admin)
            assert answer.json is not None
            assert len(answer.json["items"]) == (address == now)


def await_end(client: FlaskClient, session_id: str) -> None:
    """Return when the session has ended; fail when it does not within some seconds."""
    deadline = time.monotonic() + 5
    while client.get(f"{API}/session", headers=bearer(session_id)).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestAnOutageAfterTheCommit:
    """Redis dies before the sessions are ended: the answer says so, and they end all the same."""

    @pytest.fixture
    def dying(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        sessions = app.extensions["usermanagement"].sessions
        revoke_as = sessions.revoke_as

        def die_once(*_: Any, **__: Any) -> None:
            monkeypatch.setattr(sessions, "revoke_as", revoke_as)
            raise RedisUnavailable("made for this test")

        monkeypatch.setattr(sessions, "revoke_as", die_once)

    def test_a_new_password(
        self,
        client: FlaskClient,
        john: dict[str, Any],
        log_in: LogIn,
        request: pytest.FixtureRequest,
    ) -> None:
        here, elsewhere = log_in(), log_in()
        request.getfixturevalue("dying")
        body = {"currentPassword": JOHN["password"], "newPassword": NEW}

        first = client.put(path(john, "password"), json=body, headers=bearer(here))
        again = client.put(path(john, "password"), json=body, headers=bearer(here))

        assert [first.status_code, again.status_code] == [503, 200]
        assert again.json is not None
        await_end(client, elsewhere)
        answer = client.get(f"{API}/session", headers=bearer(again.json["session_id"]))
        assert answer.status_code == 200

    def test_a_deletion(
        self,
        client: FlaskClient,
        jane: dict[str, Any],
        admin: dict[str, str],
        request: pytest.FixtureRequest,
    ) -> None:
        janes = session_of(client, "jane_doe")
        request.getfixturevalue("dying")

        first = client.delete(path(jane), headers=admin)
        again = client.delete(path(jane), headers=admin)

        assert [first.status_code, again.status_code] == [503, 404]
        await_end(client, janes)


def test_a_line_break_in_a_new_password_is_judged_like_a_blank(
    client: FlaskClient, john: dict[str, Any], log_in: LogIn
) -> None:
    body = {"currentPassword": JOHN["password"], "newPassword": "12345\nabcdefgh"}

    answer = client.put(path(john, "password"), json=body, headers=bearer(log_in()))

    assert answer.status_code in {200, 422}


class TestWhatCountsAsAFailure:
    def test_only_wrong_passwords_do(
        self, client: FlaskClient, john: dict[str, Any], jane: dict[str, Any], log_in: LogIn
    ) -> None:
        headers = bearer(log_in())
        weak = {"currentPassword": JOHN["password"], "newPassword": "password123"}
        taken = {"password": JOHN["password"], "email": jane["email"]}

        for _ in range(11):
            answer = client.put(path(john, "password"), json=weak, headers=headers)
            assert answer.status_code == 422
            assert client.patch(path(john), json=taken, headers=headers).status_code == 409

        assert session_of(client, "john_doe")


def test_a_session_of_no_user_here_may_do_nothing_to_users(
    client: FlaskClient, john: dict[str, Any], redis_client: RedisClient
) -> None:
    headers = bearer(SessionStore(redis_client).create("abc", {}).session_id)

    assert client.get(f"{API}/session", headers=headers).status_code == 200
    assert client.get(path(john), headers=headers).status_code == 403
    assert client.delete(f"{API}/sessions", headers=headers).status_code == 403
    assert client.delete(f"{API}/sessions/0123456789abcdef", headers=headers).status_code == 404
    body = {"currentPassword": "x", "newPassword": NEW}
    assert client.put(path(john, "password"), json=body, headers=headers).status_code == 403


class TestCommands:
    def test_a_demoted_admin_is_no_admin_at_once(
        self, client: FlaskClient, app: Flask, admin: dict[str, str]
    ) -> None:
        assert client.get(f"{API}/users", headers=admin).status_code == 200

        answer = app.test_cli_runner().invoke(
            args=["users", "set-role", "--username", "root", "--role", "user"]
        )

        assert answer.output == "root is user now, and has to log in again.\n"
        assert client.get(f"{API}/users", headers=admin).status_code == 401
        again = bearer(session_of(client, "root"))
        assert client.get(f"{API}/users", headers=again).status_code == 403

    def test_a_password_is_asked_where_none_is_set(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
    ) -> None:
        monkeypatch.delenv("ADMIN_PASSWORD", raising=False)

        answer = app.test_cli_runner().invoke(
            args=["users", "create-admin", "--username", "boss", "--email", "boss@example.com"],
            input=f"{NEW}\n{NEW}\n",
        )

        assert answer.exit_code == 0
        assert NEW not in answer.output
        assert session_of(client, "boss", NEW)

    @pytest.mark.parametrize(
        ("username", "email", "password", "says"),
        [
            ("x", "boss@example.com", NEW, "username"),
            ("boss", "nobody", NEW, "email"),
            ("boss", "boss@example.com", "password123", "easy to guess"),
            ("john_doe", "boss@example.com", NEW, "username is taken"),
        ],
    )
    @pytest.mark.usefixtures("john")
    def test_what_is_wrong_is_told(
        self,
        app: Flask,
        monkeypatch: pytest.MonkeyPatch,
        username: str,
        email: str,
        password: str,
        says: str,
    ) -> None:
        monkeypatch.setenv("ADMIN_PASSWORD", password)

        answer = app.test_cli_runner().invoke(
            args=["users", "create-admin", "--username", username, "--email", email]
        )

        assert answer.exit_code == 1
        assert says in answer.output
        assert password not in answer.output

    def test_nobody_has_no_role(self, app: Flask) -> None:
        answer = app.test_cli_runner().invoke(
            args=["users", "set-role", "--username", "nobody", "--role", "admin"]
        )

        assert answer.exit_code == 1
        assert "no user nobody" in answer.output


def test_a_commit_stands_without_redis_and_login_needs_it(
    make_app: Callable[..., Flask], own_redis: RedisServer, database: Database
) -> None:
    app = make_app(redis_url=own_redis.url)
    client = app.test_client(use_cookies=False)
    john = client.post(REGISTER, json=JOHN).json
    session_id = session_of(client, "john_doe")
    assert john is not None
    own_redis.kill()

    answer = client.patch(path(john["user"]), json={"firstName": "X"}, headers=bearer(session_id))

    assert answer.status_code == 503
    with database.read() as tx:
        assert tx.get_one(User, john["user"]["id"]).first_name == "John"
