"""POST /registerUser with an `Idempotency-Key`, as its callers see it."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.passwords.hashing import Hasher
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.db import Database
from common.pyportal_common.db.idempotency import KEYS
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of

from .conftest import (
    JANE,
    JOHN,
    NEW_PASSWORD,
    QUICK,
    REGISTER,
    Headers,
    Json,
    LogIn,
    MakeApp,
    services_of,
    users_in,
)

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
SERVICE = Path(__file__).parent.parent

# Registers a user, and dies after the COMMIT, before the response.
DYING = """
import os, signal, sys
from app import create_app
from common.pyportal_common.cache_handlers import Cache
from tests.conftest import JOHN, REGISTER

Cache.unfence = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
create_app().test_client().post(REGISTER, json=JOHN, headers={"Idempotency-Key": sys.argv[1]})
"""


def is_replay(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def register_with_key(app: Flask, body: Json = JOHN) -> TestResponse:
    return app.test_client().post(REGISTER, json=body, headers=KEY)


def kept_in(database: Database) -> list[dict[str, Any]]:
    """All kept responses."""
    with database.read() as tx:
        return [dict(row) for row in tx.execute(select(KEYS)).mappings()]


def hashes_of(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that are hashed from now on."""
    hashed: list[str] = []
    hasher = services_of(app).hasher
    hash_password = hasher.hash

    def note_and_hash(password: str) -> str:
        hashed.append(password)
        return hash_password(password)

    monkeypatch.setattr(hasher, "hash", note_and_hash)
    return hashed


class TestReplay:
    def test_a_repetition_gets_the_same_response_and_creates_no_second_user(
        self, client: FlaskClient, database: Database
    ) -> None:
        first = client.post(REGISTER, json=JOHN, headers=KEY)
        again = client.post(REGISTER, json=JOHN, headers=KEY)

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.data == first.data
        assert again.headers["Location"] == first.headers["Location"]
        assert again.content_type == first.content_type
        assert (is_replay(first), is_replay(again)) == (False, True)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
        assert users_in(database) == 1

    def test_no_secret_is_kept(self, client: FlaskClient, database: Database) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        (kept,) = kept_in(database)
        for secret in (JOHN["password"], KEY["Idempotency-Key"], "argon2"):
            assert secret not in str(kept)

    def test_a_repetition_hashes_no_new_password(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register_with_key(app)
        hashed = hashes_of(app, monkeypatch)

        assert is_replay(register_with_key(app))
        assert hashed == []

    def test_a_repetition_counts_for_the_limit(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_register=RateLimit("register", 5, 60)).test_client()

        responses = [client.post(REGISTER, json=JOHN, headers=KEY) for _ in range(6)]

        assert [response.status_code for response in responses] == [201] * 5 + [429]
        remaining = [response.headers["X-RateLimit-Remaining"] for response in responses]
        assert remaining == list("432100")

    def test_a_taken_name_is_a_409_for_the_key_even_when_the_name_is_free_again(
        self, client: FlaskClient, headers: Headers, john: Json
    ) -> None:
        first = client.post(REGISTER, json=JOHN, headers=KEY)
        client.delete(f"{API}/users/{john['id']}", headers=headers)

        again = client.post(REGISTER, json=JOHN, headers=KEY)

        assert problem_of(first) == (409, ["username", "email"])
        assert (again.status_code, again.data) == (409, first.data)
        assert is_replay(again)


@pytest.mark.parametrize("processes", [1, 2])
def test_fifty_concurrent_requests_with_one_key_create_one_user(
    make_app: MakeApp, database: Database, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """Two apps do not see which keys the other is processing, as two processes."""
    monkeypatch.setenv("REDIS_MAX_CONNECTIONS", "50")
    monkeypatch.setenv("REDIS_READ_TIMEOUT", "5")
    # However busy the machine is: repetitions have their passwords compared.
    hashers = [Hasher(concurrency=2, wait_seconds=60, argon2=QUICK) for _ in range(processes)]
    apps = [make_app(parts={"hasher": hasher}) for hasher in hashers]

    with ThreadPoolExecutor(50) as pool:
        responses = list(
            pool.map(lambda number: register_with_key(apps[number % processes]), range(50))
        )

    (original,) = [each for each in responses if each.status_code == 201 and not is_replay(each)]
    replays = [each for each in responses if is_replay(each)]
    in_flight = [each for each in responses if each is not original and not is_replay(each)]
    assert {each.data for each in replays} <= {original.data}
    assert {each.status_code for each in in_flight} <= {409}
    assert all(problem_of(each)[1] == ["Idempotency-Key"] for each in in_flight)
    assert all(int(each.headers["Retry-After"]) >= 1 for each in in_flight)
    assert users_in(database) == 1
    assert register_with_key(apps[0]).data == original.data


def test_concurrent_repetitions_do_not_lock_the_name(make_app: MakeApp) -> None:
    """Each counts as a failed login while its password is being compared."""
    app = make_app(rate_limit_login_failures=RateLimit("login_failures", 3, 60))
    register_with_key(app)

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: register_with_key(app), range(20)))

    assert {each.status_code for each in responses} <= {201, 409}
    assert is_replay(register_with_key(app))


class TestDifferentRequest:
    @pytest.mark.parametrize("change", [{"password": NEW_PASSWORD}, {"lastName": "D"}])
    def test_another_body_is_a_422_with_the_header(
        self, client: FlaskClient, database: Database, change: Json
    ) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        response = client.post(REGISTER, json=JOHN | change, headers=KEY)

        assert problem_of(response) == (422, ["Idempotency-Key"])
        assert "john" not in response.text.lower()
        assert users_in(database) == 1

    def test_wrong_passwords_count_as_failed_logins(self, make_app: MakeApp) -> None:
        """A repetition must not be a way around the lock against guessing."""
        client = make_app(
            rate_limit_login_failures=RateLimit("login_failures", 2, 60)
        ).test_client()
        client.post(REGISTER, json=JOHN, headers=KEY)
        wrong = JOHN | {"password": NEW_PASSWORD}

        statuses = [client.post(REGISTER, json=wrong, headers=KEY).status_code for _ in range(3)]

        assert statuses == [422, 422, 429]
        assert client.post(REGISTER, json=JOHN, headers=KEY).status_code == 429

    def test_after_a_change_of_the_password_the_old_one_is_refused(
        self, client: FlaskClient
    ) -> None:
        created = json_of(client.post(REGISTER, json=JOHN, headers=KEY))["user"]
        credentials = {"username": JOHN["username"], "password": JOHN["password"]}
        session = json_of(client.post(f"{API}/login", json=credentials))["session_id"]
        change = {"currentPassword": JOHN["password"], "newPassword": NEW_PASSWORD}
        path = f"{API}/users/{created['id']}/password"
        assert client.put(path, json=change, headers=bearer(session)).status_code < 300

        assert client.post(REGISTER, json=JOHN, headers=KEY).status_code == 422

    def test_a_session_does_not_change_the_scope_of_the_key(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        """The route requires no login."""
        client.post(REGISTER, json=JANE, headers=KEY)

        headers = KEY | bearer(log_in())
        assert is_replay(client.post(REGISTER, json=JANE, headers=headers))


def test_after_a_429_the_key_may_be_reused(make_app: MakeApp, database: Database) -> None:
    register = RateLimit("register", 1, 60)
    refusing = make_app(rate_limit_register=register)
    refusing.test_client().post(REGISTER, json={})

    refused = register_with_key(refusing)
    kept = kept_in(database)
    repeated = register_with_key(make_app())

    assert (refused.status_code, repeated.status_code) == (429, 201)
    assert kept == []
    assert not is_replay(repeated)


def test_deleting_a_user_deletes_the_kept_response(
    client: FlaskClient, log_in: LogIn, database: Database
) -> None:
    jane = json_of(client.post(REGISTER, json=JANE, headers=KEY))["user"]
    john = bearer(log_in())
    client.post(REGISTER, json=JOHN, headers={"Idempotency-Key": "a-409"})
    credentials = {"username": JANE["username"], "password": JANE["password"]}
    session = json_of(client.post(f"{API}/login", json=credentials))["session_id"]

    deleted = client.delete(f"{API}/users/{jane['id']}", headers=bearer(session))

    assert deleted.status_code == 204
    assert client.get(f"{API}/session", headers=john).status_code == 200
    assert [kept["status"] for kept in kept_in(database)] == [409]
    assert "jane" not in str(kept_in(database))
    again = client.post(REGISTER, json=JANE, headers=KEY)
    assert again.status_code == 201
    assert not is_replay(again)


class TestFailures:
    """Redis, or the process, dies between the request and the response."""

    def test_keys_work_without_redis(
        self, make_app: MakeApp, own_redis: RedisServer, database: Database
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        own_redis.kill()

        responses = [register_with_key(app) for _ in range(2)]
        other = register_with_key(app, JOHN | {"password": NEW_PASSWORD})

        assert [response.status_code for response in responses] == [201, 201]
        assert [is_replay(response) for response in responses] == [False, True]
        assert other.status_code == 422
        assert users_in(database) == 1

    def test_a_process_that_dies_after_its_commit_has_kept_its_response(
        self, app: Flask, database_url: str, redis_server: RedisServer, database: Database
    ) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_server.url,
            "PYTHONPATH": f"{SERVICE}{os.pathsep}{SERVICE.parent}",
        }
        died = subprocess.run(
            [sys.executable, "-c", DYING, KEY["Idempotency-Key"]],
            env=environment,
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL
        assert users_in(database) == 1

        again = register_with_key(app)

        assert again.status_code == 201
        assert is_replay(again)
        assert json_of(again)["user"]["username"] == JOHN["username"]
        assert users_in(database) == 1

    def test_a_registration_that_failed_in_its_transaction_can_be_repeated(
        self, app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outbox = services_of(app).outbox
        with monkeypatch.context() as patch:
            patch.setattr(outbox, "welcome", _fail)
            assert register_with_key(app).status_code == 500
        assert (users_in(database), kept_in(database)) == (0, [])

        repeated = register_with_key(app)

        assert repeated.status_code == 201
        assert not is_replay(repeated)


def _fail(*_: object) -> None:
    raise LookupError


def test_openapi_describes_the_header_and_the_responses(client: FlaskClient) -> None:
    paths = json_of(client.get("/openapi.json"))["paths"]
    register = paths[REGISTER]["post"]

    (header,) = [one for one in register["parameters"] if one["in"] == "header"]
    assert (header["name"], header["required"]) == ("Idempotency-Key", False)
    assert {"400", "409", "422"} <= set(register["responses"])
    for name in ("Idempotency-Replayed", "Idempotent-Replayed"):
        assert register["responses"]["201"]["headers"][name]["required"] is False
    assert "Retry-After" in register["responses"]["409"]["headers"]
    assert "Idempotency-Key" not in json.dumps(paths[f"{API}/login"])
