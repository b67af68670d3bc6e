"""Odd values in Redis do not stop User Management: see OddValueChecks."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of, session_headers
from common.pyportal_common.testing.odd_values import EARLIER, OddValueChecks
from common.pyportal_common.testing.plugin import settings_for

from .conftest import (
    JANE,
    JOHN,
    LOGIN,
    NEW_PASSWORD,
    REGISTER,
    Headers,
    Json,
    LogIn,
    MakeApp,
    register,
    session_of,
    user_path,
)

CHANGE = {"currentPassword": JOHN["password"], "newPassword": NEW_PASSWORD}


@dataclass
class Prepared:
    """A session of John from before the odd value."""

    headers: Headers


class TestOddValues(OddValueChecks):
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


def test_a_password_change_ends_all_sessions_although_their_index_was_overwritten(
    client: FlaskClient, john: Json, log_in: LogIn, redis_client: RedisClient
) -> None:
    other, mine = log_in(), log_in()
    redis_client.set(f"user:sessions:{john['id']}", "x")

    change = client.put(user_path(john, "password"), json=CHANGE, headers=bearer(mine))

    assert change.status_code == 200
    for ended in (other, mine):
        assert client.get(user_path(john), headers=bearer(ended)).status_code == 401
    renewed = bearer(json_of(change)["session_id"])
    assert len(json_of(client.get(f"{API}/sessions", headers=renewed))["items"]) == 1


def test_an_overwritten_index_does_not_stop_the_service_after_a_restart_of_redis(
    make_app: MakeApp, own_redis: RedisServer
) -> None:
    client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
    john = register(client)
    session = session_of(client)
    change = client.put(user_path(john, "password"), json=CHANGE, headers=bearer(session))
    assert change.status_code == 200
    odd = RedisClient.connect(settings_for(own_redis), db=0)
    odd.set(f"user:sessions:{john['id']}", "x")
    odd.delete("cache:marker")  # as after a crash that lost it
    odd.close()
    own_redis.kill()
    own_redis.start()
    wait_for_redis(client)

    assert client.post(REGISTER, json=JANE).status_code == 201
    assert session_of(client, password=NEW_PASSWORD)
    renewed = bearer(json_of(change)["session_id"])
    assert len(json_of(client.get(f"{API}/sessions", headers=renewed))["items"]) == 2


def wait_for_redis(client: FlaskClient) -> None:
    """Wait until the breaker has noticed that Redis is back."""
    until = time.monotonic() + 20
    while json_of(client.get("/health"))["checks"]["redis"] != "ok":
        assert time.monotonic() < until
        time.sleep(0.05)
