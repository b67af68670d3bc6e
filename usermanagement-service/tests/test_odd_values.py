"""Odd values in Redis do not stop User Management: see OddValueChecks."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from app.passwords.hashing import Hasher
from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.testing.kit import API, bearer, json_of, session_headers
from common.pyportal_common.testing.odd_values import EARLIER, OddValueChecks

from .conftest import JOHN, LOGIN, NEW_PASSWORD, Headers, Json, MakeApp, register, user_path


class QuickHasher(Hasher):
    """Hashes with little work."""

    def __init__(self) -> None:
        super().__init__(concurrency=4)
        self._argon2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Prepared:
    """A session of John from before the odd value."""

    headers: Headers


class TestOddValues(OddValueChecks):
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        return make_app(parts={"hasher": QuickHasher()})

    @pytest.fixture(autouse=True)
    def _john(self, client: FlaskClient) -> None:
        self.client = client
        self.john = register(client)
        self.passwords = [JOHN["password"], NEW_PASSWORD]

    def prepare(self) -> Prepared:
        return Prepared(self._log_in())

    def exercise(self, client: FlaskClient, prepared: Prepared) -> Mapping[str, int]:
        path, statuses = user_path(self.john), {}

        def call(
            name: str, method: str, url: str, headers: Headers, body: Json | None = None
        ) -> Json:
            response = client.open(url, method=method, headers=headers, json=body)
            statuses[name] = response.status_code
            return json_of(response) if response.is_json else {}

        call(f"{EARLIER}read", "GET", path, prepared.headers)
        call(f"{EARLIER}list", "GET", f"{API}/sessions", prepared.headers)
        call(f"{EARLIER}log out", "POST", f"{API}/logout", prepared.headers)
        credentials = {"username": JOHN["username"], "password": self.passwords[0]}
        session = call("log in", "POST", LOGIN, {}, credentials)
        headers = bearer(session.get("session_id", "none"))
        admin = session_headers(999, "admin")
        for name in ("read", "read again"):
            call(name, "GET", path, headers)
        call("find by name", "GET", f"{API}/users?username=john_doe", admin)
        call("find by address", "GET", f"{API}/users?email=john@example.com", admin)
        change = call("change", "PATCH", path, headers, {"firstName": "Johnny", "lastName": None})
        statuses["changed"] = 200 if change.get("user", {}).get("firstName") == "Johnny" else 500
        user = call("read the change", "GET", path, headers).get("user", {})
        statuses["role"] = 200 if user.get("role") == "user" else 500
        call("list sessions", "GET", f"{API}/sessions", headers)
        old, new = self.passwords
        passwords = {"currentPassword": old, "newPassword": new}
        changed = call("change password", "PUT", f"{path}/password", headers, passwords)
        if statuses["change password"] == 200:
            self.passwords.reverse()
            headers = bearer(changed.get("session_id", "none"))
        call("log out", "POST", f"{API}/logout", headers)
        return statuses

    def _log_in(self) -> Headers:
        credentials = {"username": JOHN["username"], "password": self.passwords[0]}
        response = self.client.post(LOGIN, json=credentials)
        assert response.status_code == 200, response.text
        return bearer(json_of(response)["session_id"])


def test_a_user_that_the_last_release_cached_without_a_role_is_read_again(
    client: FlaskClient, john: Json, redis_client: RedisClient
) -> None:
    earlier = {name: value for name, value in john.items() if name != "role"}
    redis_client.set_json(f"user:{john['id']}", earlier, ttl=3600)

    shown = json_of(client.get(user_path(john), headers=session_headers(john["id"])))

    assert shown == {"user": john}
    text = redis_client.get(f"user:{john['id']}") or ""
    assert text.startswith('{"_v":1,"id":')
