"""Users over HTTP: who may see and change whom, and what is cached."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.models import User
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisClient, SessionStore
from common.pyportal_common.db import Database
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of, statements_of

from .conftest import (
    JANE,
    JOHN,
    NEW_PASSWORD,
    REGISTER,
    Headers,
    Json,
    LogIn,
    MakeApp,
    RevocationsFail,
    mails_in,
    register,
    session_of,
    user_path,
)

USERS = f"{API}/users"
NOBODY: Json = {"items": [], "next": None}


@pytest.fixture
def jane(client: FlaskClient) -> Json:
    return register(client, JANE)


@pytest.fixture
def admin(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> Headers:
    """Headers of an admin's session."""
    monkeypatch.setenv("ADMIN_PASSWORD", JOHN["password"])
    created = app.test_cli_runner().invoke(
        args=["users", "create-admin", "--username", "root", "--email", "root@example.com"]
    )
    assert created.exit_code == 0, created.output
    return bearer(session_of(client, "root"))


class TestRead:
    def test_users_see_themselves_with_their_role(
        self, client: FlaskClient, john: Json, headers: Headers
    ) -> None:
        response = client.get(user_path(john), headers=headers)

        assert response.json == {"user": john}
        assert john["role"] == "user"
        assert response.headers["Cache-Control"] == "no-store"

    def test_users_see_no_other_user(
        self, client: FlaskClient, jane: Json, headers: Headers
    ) -> None:
        assert client.get(user_path(jane), headers=headers).status_code == 403
        assert client.get(user_path(jane)).status_code == 401

    def test_admins_see_every_user(self, client: FlaskClient, jane: Json, admin: Headers) -> None:
        assert client.get(user_path(jane), headers=admin).json == {"user": jane}
        assert client.get(f"{USERS}/999999", headers=admin).status_code == 404

    def test_a_read_fills_the_cache_and_the_next_read_needs_no_sql(
        self,
        client: FlaskClient,
        services: Services,
        john: Json,
        headers: Headers,
        redis_client: RedisClient,
    ) -> None:
        redis_client.delete(f"user:{john['id']}")
        client.get(user_path(john), headers=headers)
        statements = statements_of(services.database)

        assert client.get(user_path(john), headers=headers).json == {"user": john}

        assert statements == []
        assert redis_client.get_json(f"user:{john['id']}") == john

    def test_a_user_from_an_older_version_is_unverified(
        self, client: FlaskClient, services: Services
    ) -> None:
        now = datetime.now(UTC)
        with services.database.begin() as tx:
            tx.add(
                User(
                    username="old",
                    username_key="old",
                    email="old@example.com",
                    email_key="old@example.com",
                    password_hash=services.hasher.hash(JOHN["password"]),
                    created_at=now,
                    updated_at=now,
                )
            )
        headers = bearer(session_of(client, "old"))
        user_id = json_of(client.get(f"{API}/session", headers=headers))["user_id"]

        user = json_of(client.get(f"{USERS}/{user_id}", headers=headers))["user"]

        assert (user["emailVerified"], user["role"]) == (False, "user")


class TestLimit:
    def test_reads_of_a_user_share_one_limit(self, make_app: MakeApp, admin: Headers) -> None:
        app = make_app(rate_limit_reads=RateLimit("reads", 2, 60))
        client = app.test_client(use_cookies=False)
        john = register(client)
        headers = bearer(session_of(client))

        own = [client.get(user_path(john), headers=headers) for _ in range(3)]
        lists = [client.get(f"{API}/users", headers=admin) for _ in range(2)]
        other = client.get(user_path(john), headers=admin)

        assert [response.status_code for response in own] == [200, 200, 429]
        assert [response.status_code for response in (*lists, other)] == [200, 200, 429]
        assert own[0].headers["X-RateLimit-Remaining"] == "1"

    def test_services_read_without_a_limit(self, make_app: MakeApp) -> None:
        limit = RateLimit("reads", 1, 60)
        app = make_app(service_tokens="notification:0123456789abcdef", rate_limit_reads=limit)
        client, headers = app.test_client(), TestReadByServices.HEADERS
        john = register(client)

        statuses = [client.get(user_path(john), headers=headers).status_code for _ in range(3)]

        assert statuses == [200] * 3


class TestReadByServices:
    HEADERS = {"X-Service-Token": "0123456789abcdef"}  # noqa: RUF012  not changed

    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        return make_app(service_tokens="notification:0123456789abcdef")

    def test_other_services_see_every_user(self, client: FlaskClient, john: Json) -> None:
        assert client.get(user_path(john), headers=self.HEADERS).json == {"user": john}
        assert client.get(f"{USERS}/999999", headers=self.HEADERS).status_code == 404

    def test_an_unknown_token_is_a_401(
        self, client: FlaskClient, john: Json, log_in: LogIn
    ) -> None:
        for headers in ({"X-Service-Token": "x"}, bearer(log_in()) | {"X-Service-Token": ""}):
            assert client.get(user_path(john), headers=headers).status_code == 401

    def test_other_services_may_do_nothing_else(self, client: FlaskClient, john: Json) -> None:
        for response in (
            client.patch(user_path(john), json={"firstName": "X"}, headers=self.HEADERS),
            client.delete(user_path(john), headers=self.HEADERS),
            client.get(USERS, headers=self.HEADERS),
        ):
            assert response.status_code == 401


class TestList:
    def test_search_by_username_and_by_email(
        self, client: FlaskClient, john: Json, admin: Headers, redis_client: RedisClient
    ) -> None:
        redis_client.delete("user:lookup:username:john_doe")
        for query in ("username=John_Doe", "email=JOHN@example.com", "username=john_doe"):
            response = client.get(f"{USERS}?{query}", headers=admin)

            assert response.json == {"items": [john], "next": None}
        assert redis_client.get("user:lookup:username:john_doe") == str(john["id"])

    def test_an_unknown_name_is_cached_until_it_is_registered(
        self, client: FlaskClient, admin: Headers, redis_client: RedisClient
    ) -> None:
        url = f"{USERS}?username=jane_doe"
        assert client.get(url, headers=admin).json == NOBODY
        assert redis_client.get("user:lookup:username:jane_doe") == "null"

        jane = register(client, JANE)

        assert json_of(client.get(url, headers=admin))["items"] == [jane]

    def test_pages_of_fifty(self, client: FlaskClient, admin: Headers, database: Database) -> None:
        now = datetime.now(UTC)
        names = [f"u-{n}" for n in range(100)]
        with database.begin() as tx:
            for name in names:
                user = User(username=name, username_key=name, email=name, email_key=name)
                user.password_hash, user.created_at, user.updated_at = "", now, now
                tx.add(user)
                tx.flush()
        sizes: list[int] = []
        seen: list[str] = []
        cursor: str | None = "0"
        while cursor is not None:
            page = json_of(client.get(f"{USERS}?cursor={cursor}", headers=admin))
            sizes.append(len(page["items"]))
            seen += [item["username"] for item in page["items"]]
            cursor = page["next"]

        assert seen == ["root", *names]
        assert sizes == [50, 50, 1]
        page = client.get(f"{USERS}?limit=100&cursor=0", headers=admin)
        assert len(json_of(page)["items"]) == 100
        target = f"{USERS}?limit=100&cursor={json_of(page)['next']}"
        assert page.headers["Link"] == f'<{target}>; rel="next"'
        last = client.get(target, headers=admin)
        assert (len(json_of(last)["items"]), last.headers.get("Link")) == (1, None)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("username=a&username=b", "username"),
            ("name=a", "name"),
            ("username=a&email=b", "query"),
            ("username=john_doe&cursor=1", "cursor"),
            ("email=john@example.com&cursor=0", "cursor"),
            *((f"cursor={cursor}", "cursor") for cursor in ("x", "-1", "1" * 30, "", "1;", "é")),
        ],
    )
    def test_an_invalid_query_is_a_422_with_the_parameter(
        self, client: FlaskClient, admin: Headers, query: str, field: str
    ) -> None:
        response = client.get(f"{USERS}?{query}", headers=admin)

        assert response.status_code == 422
        assert problem_of(response)[1][0] == field

    @pytest.mark.parametrize("name", ["*", "{}", "%00", "a:b", "x" * 5000, "%F0%9F%9B%AB", " "])
    def test_hostile_names_find_nobody(
        self, client: FlaskClient, admin: Headers, name: str
    ) -> None:
        response = client.get(f"{USERS}?username={name}", headers=admin)

        assert response.status_code in {200, 422}
        if response.status_code == 200:
            assert response.json == NOBODY

    def test_only_admins_list_users(self, client: FlaskClient, headers: Headers) -> None:
        assert client.get(USERS, headers=headers).status_code == 403
        assert client.get(USERS).status_code == 401


class TestChange:
    def test_a_change_is_visible_at_once(
        self, client: FlaskClient, john: Json, headers: Headers
    ) -> None:
        client.get(user_path(john), headers=headers)
        body = {"firstName": "Johnny", "lastName": None}

        user = json_of(client.patch(user_path(john), json=body, headers=headers))["user"]

        assert user.items() >= body.items()
        assert user["dateOfBirth"] == john["dateOfBirth"]
        assert user["updatedAt"] > john["updatedAt"]
        assert client.get(user_path(john), headers=headers).json == {"user": user}

    def test_a_new_email_requires_the_right_password(
        self, client: FlaskClient, john: Json, headers: Headers, admin: Headers
    ) -> None:
        new = {"email": "Johnny@example.com"}
        client.get(f"{USERS}?email=john@example.com", headers=admin)
        client.get(f"{USERS}?email=johnny@example.com", headers=admin)

        statuses = [
            client.patch(user_path(john), json={**new, **more}, headers=headers).status_code
            for more in ({"password": "wrong"}, {"password": JOHN["password"]})
        ]

        assert statuses == [403, 200]
        old_lookup = client.get(f"{USERS}?email=john@example.com", headers=admin)
        new_lookup = client.get(f"{USERS}?email=johnny@example.com", headers=admin)
        assert old_lookup.json == NOBODY
        assert json_of(new_lookup)["items"][0]["email"] == "Johnny@example.com"

    def test_the_sixth_new_address_of_a_user_in_an_hour_is_refused(
        self, make_app: MakeApp, services: Services
    ) -> None:
        """Each of them mails a link to an address that may be anybody's."""
        app = make_app(rate_limit_email_changes=RateLimit("email-changes", 5, 3600))
        client = app.test_client(use_cookies=False)
        john, jane = register(client), register(client, JANE)
        headers = bearer(session_of(client))

        def change(address: str, password: str = JOHN["password"]) -> int:
            body = {"email": address, "password": password}
            return client.patch(user_path(john), json=body, headers=headers).status_code

        counted = [change(f"john{n}@example.com") for n in range(4)]
        free = [change("john3@example.com"), change(jane["email"]), change("x@example.com", "x")]
        last = [change("john4@example.com"), change("john5@example.com")]

        assert (counted, free, last) == ([200] * 4, [200, 409, 403], [200, 429])
        assert len(mails_in(services, "email_verification")) == 5
        other = client.patch(user_path(john), json={"firstName": "Jo"}, headers=headers)
        assert other.status_code == 200

    def test_a_taken_email_is_a_409(
        self, client: FlaskClient, john: Json, jane: Json, headers: Headers
    ) -> None:
        body = {"email": jane["email"].upper(), "password": JOHN["password"]}

        response = client.patch(user_path(john), json=body, headers=headers)

        assert response.status_code == 409
        assert json_of(response)["details"] == [{"field": "email", "message": "Already taken"}]

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
    def test_an_invalid_body_is_a_422(
        self, client: FlaskClient, john: Json, log_in: LogIn, body: Json
    ) -> None:
        response = client.patch(user_path(john), json=body, headers=bearer(log_in()))

        assert response.status_code == 422
        assert client.get(user_path(john), headers=bearer(log_in())).json == {"user": john}

    def test_users_change_no_other_user(
        self, client: FlaskClient, jane: Json, headers: Headers
    ) -> None:
        passwords = {"currentPassword": JOHN["password"], "newPassword": NEW_PASSWORD}

        for response in (
            client.patch(user_path(jane), json={"firstName": "X"}, headers=headers),
            client.delete(user_path(jane), headers=headers),
            client.put(user_path(jane, "password"), json=passwords, headers=headers),
        ):
            assert response.status_code == 403

    def test_after_concurrent_changes_and_reads_the_last_change_is_shown(
        self, app: Flask, john: Json, headers: Headers, database: Database
    ) -> None:
        def act(n: int) -> int:
            client = app.test_client(use_cookies=False)
            if n % 4:
                return client.get(user_path(john), headers=headers).status_code
            body = {"firstName": f"John{n}"}
            return client.patch(user_path(john), json=body, headers=headers).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(act, range(120))) == {200}

        shown = json_of(app.test_client().get(user_path(john), headers=headers))["user"]
        with database.read() as tx:
            assert shown["firstName"] == tx.get_one(User, john["id"]).first_name


class TestDelete:
    def test_a_deleted_user_is_gone_with_all_sessions(
        self, client: FlaskClient, john: Json, log_in: LogIn, admin: Headers
    ) -> None:
        here, elsewhere = log_in(), log_in()
        client.get(user_path(john), headers=bearer(here))

        assert client.delete(user_path(john), headers=bearer(here)).status_code == 204

        for session_id in (here, elsewhere):
            assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 401
        assert client.get(user_path(john), headers=admin).status_code == 404
        assert client.get(f"{USERS}?username=john_doe", headers=admin).json == NOBODY
        assert client.post(REGISTER, json=JOHN).status_code == 201

    def test_an_admin_deletes_every_user(
        self, client: FlaskClient, jane: Json, admin: Headers
    ) -> None:
        session_id = session_of(client, "jane_doe")

        statuses = [client.delete(user_path(jane), headers=admin).status_code for _ in range(2)]

        assert statuses == [204, 404]
        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 401

    def test_redis_fails_after_the_commit_and_the_sessions_end_later(
        self, client: FlaskClient, jane: Json, admin: Headers, revocations_fail: RevocationsFail
    ) -> None:
        session_id = session_of(client, "jane_doe")

        with revocations_fail():
            statuses = [client.delete(user_path(jane), headers=admin).status_code]
        statuses.append(client.delete(user_path(jane), headers=admin).status_code)

        assert statuses == [503, 404]
        wait_for_end(client, session_id)


class TestConcurrency:
    """Concurrent requests for one user."""

    @pytest.fixture(autouse=True)
    def _slow_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wait between reading a row and changing it, so that unlocked requests overlap."""
        lock = User.lock

        def lock_slowly(*given: Any) -> User:
            row = lock(*given)
            time.sleep(0.1)
            return row

        monkeypatch.setattr(User, "lock", lock_slowly)

    def send_at_once(
        self, app: Flask, requests: list[tuple[str, str, Json | None]], headers: Any
    ) -> list[int]:
        def send(request: tuple[str, str, Json | None]) -> int:
            method, url, body = request
            client = app.test_client(use_cookies=False)
            return client.open(url, method=method, json=body, headers=headers).status_code

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(send, requests))

    def test_of_eight_new_passwords_one_is_set(
        self, app: Flask, john: Json, headers: Headers, database: Database
    ) -> None:
        bodies = [
            {"currentPassword": JOHN["password"], "newPassword": f"{NEW_PASSWORD}-{n}"}
            for n in range(8)
        ]
        url = user_path(john, "password")

        statuses = self.send_at_once(app, [("PUT", url, body) for body in bodies], headers)

        assert statuses.count(200) == 1
        assert set(statuses) <= {200, 401, 403, 409, 429, 503}
        with database.read() as tx:
            assert tx.get_one(User, john["id"]).auth_epoch == 1
        acknowledged = bodies[statuses.index(200)]["newPassword"]
        assert session_of(app.test_client(), password=acknowledged)

    def test_a_change_during_a_deletion_is_a_200_or_a_404(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        for n in range(5):
            user = register(client, {**JOHN, "username": f"u-{n}", "email": f"u{n}@example.com"})
            change = ("PATCH", user_path(user), {"firstName": "X"})

            statuses = self.send_at_once(
                app, [change, change, ("DELETE", user_path(user), None), change], admin
            )

            assert statuses[2] == 204
            assert set(statuses) <= {200, 204, 404}

    def test_changed_addresses_leave_no_stale_lookup(
        self, app: Flask, client: FlaskClient, john: Json, headers: Headers, admin: Headers
    ) -> None:
        addresses = [f"john{n}@example.com" for n in range(4)]

        def find(address: str) -> list[Any]:
            response = client.get(USERS, query_string={"email": address}, headers=admin)
            items: list[Any] = json_of(response)["items"]
            return items

        for address in [JOHN["email"], *addresses]:
            find(address)
        bodies = [{"email": address, "password": JOHN["password"]} for address in addresses]

        self.send_at_once(app, [("PATCH", user_path(john), body) for body in bodies], headers)

        now = json_of(client.get(user_path(john), headers=headers))["user"]["email"]
        for address in [JOHN["email"], *addresses]:
            assert len(find(address)) == (address == now)


def wait_for_end(client: FlaskClient, session_id: str) -> None:
    """Return when the session has ended; fail after some seconds."""
    deadline = time.monotonic() + 5
    while client.get(f"{API}/session", headers=bearer(session_id)).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_session_without_a_user_of_this_portal_may_do_nothing_to_users(
    client: FlaskClient, john: Json, redis_client: RedisClient
) -> None:
    headers = bearer(SessionStore(redis_client).create("abc", {}).session_id)

    assert client.get(f"{API}/session", headers=headers).status_code == 200
    assert client.get(user_path(john), headers=headers).status_code == 403
    assert client.delete(f"{API}/sessions", headers=headers).status_code == 403
    assert client.delete(f"{API}/sessions/0123456789abcdef", headers=headers).status_code == 404
    body = {"currentPassword": "x", "newPassword": NEW_PASSWORD}
    assert client.put(user_path(john, "password"), json=body, headers=headers).status_code == 403


class TestCommands:
    def test_a_changed_role_takes_effect_at_once(
        self, client: FlaskClient, app: Flask, admin: Headers
    ) -> None:
        assert client.get(USERS, headers=admin).status_code == 200

        result = app.test_cli_runner().invoke(
            args=["users", "set-role", "--username", "root", "--role", "user"]
        )

        assert result.output == "The role of root is now user. They have to log in again.\n"
        assert client.get(USERS, headers=admin).status_code == 401
        again = bearer(session_of(client, "root"))
        assert client.get(USERS, headers=again).status_code == 403

    def test_create_admin_prompts_for_the_password(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
    ) -> None:
        monkeypatch.delenv("ADMIN_PASSWORD", raising=False)

        result = app.test_cli_runner().invoke(
            args=["users", "create-admin", "--username", "boss", "--email", "boss@example.com"],
            input=f"{NEW_PASSWORD}\n{NEW_PASSWORD}\n",
        )

        assert result.exit_code == 0
        assert NEW_PASSWORD not in result.output
        assert session_of(client, "boss", NEW_PASSWORD)

    @pytest.mark.parametrize(
        ("username", "email", "password", "message"),
        [
            ("x", "boss@example.com", NEW_PASSWORD, "username: Must have 3 to 20"),
            ("boss", "nobody", NEW_PASSWORD, "email: "),
            ("boss", "boss@example.com", "password123", "easy to guess"),
            ("john_doe", "boss@example.com", NEW_PASSWORD, "Error: username is taken\n"),
            ("john_doe", JOHN["email"], NEW_PASSWORD, "username is taken; email is taken"),
        ],
    )
    @pytest.mark.usefixtures("john")
    def test_create_admin_reports_what_is_wrong(
        self,
        app: Flask,
        monkeypatch: pytest.MonkeyPatch,
        username: str,
        email: str,
        password: str,
        message: str,
    ) -> None:
        monkeypatch.setenv("ADMIN_PASSWORD", password)

        result = app.test_cli_runner().invoke(
            args=["users", "create-admin", "--username", username, "--email", email]
        )

        assert result.exit_code == 1
        assert message in result.output
        assert password not in result.output

    def test_set_role_reports_an_unknown_user(self, app: Flask) -> None:
        result = app.test_cli_runner().invoke(
            args=["users", "set-role", "--username", "nobody", "--role", "admin"]
        )

        assert result.exit_code == 1
        assert "no user nobody" in result.output
