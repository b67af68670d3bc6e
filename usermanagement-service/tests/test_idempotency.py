"""POST /registerUser with an `Idempotency-Key`, as its callers see it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.pyportal_common.cache_handlers import RateLimit, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of

from .conftest import JOHN, REGISTER, Json, LogIn, MakeApp, services_of, users_in

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
RECORDS = "idempotency:usermanagement:users.register_user/anyone:*"


def is_replay(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def is_taken(response: TestResponse) -> bool:
    """Whether the constraint in SQL refused the request."""
    return problem_of(response) == (409, ["username", "email"])


def register_with_key(app: Flask) -> TestResponse:
    return app.test_client().post(REGISTER, json=JOHN, headers=KEY)


def call_in_flight(app: Flask, call: Callable[[], object]) -> None:
    """Make the next registration call this, after it took its key and before its COMMIT."""
    hasher = services_of(app).hasher
    hash_password = hasher.hash

    def call_then_hash(password: str) -> str:
        hasher.hash = hash_password  # type: ignore[method-assign]  # as it was
        call()
        return hash_password(password)

    hasher.hash = call_then_hash  # type: ignore[method-assign]  # for one call


class TestReplay:
    def test_a_repetition_gets_the_same_response_and_creates_no_second_user(
        self, client: FlaskClient, database: Database, redis_client: RedisClient
    ) -> None:
        first = client.post(REGISTER, json=JOHN, headers=KEY)
        again = client.post(REGISTER, json=JOHN, headers=KEY)

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.data == first.data
        assert again.headers["Location"] == first.headers["Location"]
        assert again.content_type == first.content_type
        assert (is_replay(first), is_replay(again)) == (False, True)
        assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
        assert users_in(database) == 1
        (record,) = redis_client.scan(RECORDS)
        assert 86_390 < redis_client.ttl(record) <= 86_400
        stored = record + json.dumps(redis_client.hgetall(record))
        for secret in (JOHN["password"], KEY["Idempotency-Key"], "argon2"):
            assert secret not in stored

    def test_a_repetition_counts_for_the_limit(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_register=RateLimit("register", 5, 60)).test_client()

        responses = [client.post(REGISTER, json=JOHN, headers=KEY) for _ in range(6)]

        assert [response.status_code for response in responses] == [201] * 5 + [429]
        remaining = [response.headers["X-RateLimit-Remaining"] for response in responses]
        assert remaining == list("432100")


def test_fifty_concurrent_requests_with_one_key_create_one_user(
    make_app: MakeApp, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_MAX_CONNECTIONS", "50")
    monkeypatch.setenv("REDIS_READ_TIMEOUT", "5")
    app = make_app()

    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: register_with_key(app), range(50)))

    (original,) = [each for each in responses if each.status_code == 201 and not is_replay(each)]
    replays = [each for each in responses if is_replay(each)]
    in_flight = [each for each in responses if each is not original and not is_replay(each)]
    assert {each.data for each in replays} <= {original.data}
    assert {each.status_code for each in in_flight} <= {409}
    assert all(problem_of(each)[1] == ["Idempotency-Key"] for each in in_flight)
    assert all(int(each.headers["Retry-After"]) >= 1 for each in in_flight)
    assert users_in(database) == 1
    assert register_with_key(app).data == original.data


class TestDifferentRequest:
    @pytest.mark.parametrize("change", [{"password": "another-horse-battery"}, {"lastName": "D"}])
    def test_another_body_is_a_422_with_the_header(
        self, client: FlaskClient, database: Database, change: Json
    ) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        response = client.post(REGISTER, json=JOHN | change, headers=KEY)

        assert problem_of(response) == (422, ["Idempotency-Key"])
        assert "john" not in response.text.lower()
        assert users_in(database) == 1

    def test_a_session_does_not_change_the_scope_of_the_key(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        """The route requires no login."""
        other = JOHN | {"username": "other", "email": "other@example.com"}
        client.post(REGISTER, json=other, headers=KEY)

        headers = KEY | bearer(log_in())
        assert is_replay(client.post(REGISTER, json=other, headers=headers))


def test_after_a_429_the_key_may_be_reused(make_app: MakeApp, redis_client: RedisClient) -> None:
    app = make_app(rate_limit_register=RateLimit("register", 1, 60))
    app.test_client().post(REGISTER, json={})
    refused = register_with_key(app)
    assert list(redis_client.scan("idempotency:*")) == []
    redis_client.delete("rate_limit:usermanagement:127.0.0.1")

    repeated = register_with_key(app)

    assert (refused.status_code, repeated.status_code) == (429, 201)
    assert not is_replay(repeated)


class TestFailures:
    """Redis, or the process, dies between taking the key and the response."""

    def test_without_redis_it_is_a_503_and_no_user(
        self, make_app: MakeApp, own_redis: RedisServer, database: Database
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        own_redis.kill()

        refused = register_with_key(app)

        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert users_in(database) == 0

    def test_when_redis_is_killed_in_flight_the_constraint_decides(
        self,
        make_app: MakeApp,
        start_redis: Callable[..., RedisServer],
        connect: Callable[..., RedisClient],
        database: Database,
    ) -> None:
        server = start_redis(appendfsync="always")
        app = make_app(redis_url=server.url)

        call_in_flight(app, server.kill)
        assert register_with_key(app).status_code == 201

        server.start()
        app = make_app(redis_url=f"{server.url}/0")  # another worker
        in_flight = register_with_key(app)
        assert problem_of(in_flight) == (409, ["Idempotency-Key"])

        client = connect(server)
        (record,) = client.scan(RECORDS)
        client.execute("PEXPIRE", record, 0)  # the lease ends
        assert is_taken(register_with_key(app))
        assert users_in(database) == 1

    def test_a_request_that_outlives_its_lease_creates_no_second_user(
        self, app: Flask, redis_client: RedisClient, database: Database
    ) -> None:
        later: list[TestResponse] = []

        def expire_and_repeat() -> None:
            (record,) = redis_client.scan(RECORDS)
            redis_client.execute("PEXPIRE", record, 0)
            later.append(register_with_key(app))

        call_in_flight(app, expire_and_repeat)
        slow = register_with_key(app)

        assert later[0].status_code == 201
        assert is_taken(slow)
        assert register_with_key(app).data == later[0].data  # not the response to the slow one
        assert users_in(database) == 1


def test_openapi_describes_the_header_and_the_responses(client: FlaskClient) -> None:
    paths = json_of(client.get("/openapi.json"))["paths"]
    register = paths[REGISTER]["post"]

    (header,) = [one for one in register["parameters"] if one["in"] == "header"]
    assert (header["name"], header["required"]) == ("Idempotency-Key", False)
    assert {"400", "409", "422", "503"} <= set(register["responses"])
    assert register["responses"]["201"]["headers"]["Idempotency-Replayed"]["required"] is False
    assert "Retry-After" in register["responses"]["409"]["headers"]
    assert "Idempotency-Key" not in json.dumps(paths[f"{API}/login"])
