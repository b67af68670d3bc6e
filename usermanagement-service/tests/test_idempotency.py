"""POST /registerUser with an `Idempotency-Key`, as its callers see it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.models import User
from app.passwords import Passwords
from common.pyportal_common.cache_handlers import RateLimit, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer

from .conftest import JOHN, REGISTER

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
RECORDS = "idempotency:usermanagement:users.register_user/anyone:*"


def users_in(database: Database) -> int:
    with database.read() as tx:
        return tx.scalar(select(func.count()).select_from(User)) or 0


def is_replay(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def fields_of(response: TestResponse) -> list[str]:
    return [detail["field"] for detail in json_of(response)["details"]]


def is_taken(response: TestResponse) -> bool:
    """Whether the constraint in SQL refused it: by the name or the address, as SQL likes."""
    return response.status_code == 409 and fields_of(response) in (["username"], ["email"])


def register(app: Flask) -> TestResponse:
    return app.test_client().post(REGISTER, json=JOHN, headers=KEY)


def once_in_flight(app: Flask, do: Callable[[], object]) -> None:
    """Have the next registration do that too: after it took its key, before its COMMIT."""
    passwords: Passwords = services_of(app).passwords
    hash_password = passwords.hash

    def hash_after(password: str) -> str:
        passwords.hash = hash_password  # type: ignore[method-assign]  # as it was
        do()
        return hash_password(password)

    passwords.hash = hash_after  # type: ignore[method-assign]  # for a moment


class TestReplay:
    def test_the_same_request_gets_the_same_answer_and_makes_no_second_user(
        self, client: FlaskClient, database: Database
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

    def test_it_is_kept_for_a_day(self, client: FlaskClient, redis_client: RedisClient) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        (record,) = redis_client.scan(RECORDS)
        assert 86_390 < redis_client.ttl(record) <= 86_400

    def test_a_repeat_counts_and_says_what_is_left(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_register=RateLimit("register", 5, 60)).test_client()

        responses = [client.post(REGISTER, json=JOHN, headers=KEY) for _ in range(6)]

        assert [response.status_code for response in responses] == [201] * 5 + [429]
        assert [response.headers["X-RateLimit-Remaining"] for response in responses] == list("432100")

    def test_without_the_header_a_repeat_is_a_409(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        statuses = [client.post(REGISTER, json=JOHN).status_code for _ in range(2)]

        assert statuses == [201, 409]
        assert list(redis_client.scan("idempotency:*")) == []

    def test_a_name_that_was_taken_is_still_told_so(
        self, client: FlaskClient, database: Database
    ) -> None:
        client.post(REGISTER, json=JOHN)

        first = client.post(REGISTER, json=JOHN, headers=KEY)
        again = client.post(REGISTER, json=JOHN, headers=KEY)

        assert is_taken(first)
        assert is_replay(again)
        assert (again.status_code, again.data) == (409, first.data)
        assert users_in(database) == 1


class TestAtOnce:
    def test_fifty_at_once_with_one_key_make_one_user(
        self, make_app: MakeApp, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_MAX_CONNECTIONS", "50")
        monkeypatch.setenv("REDIS_READ_TIMEOUT", "5")
        app = make_app()

        with ThreadPoolExecutor(50) as pool:
            responses = list(pool.map(lambda _: register(app), range(50)))

        (original,) = [a for a in responses if a.status_code == 201 and not is_replay(a)]
        others = [response for response in responses if response is not original]
        replays = [response for response in others if is_replay(response)]
        in_flight = [response for response in others if not is_replay(response)]
        assert {response.data for response in replays} <= {original.data}
        assert {response.status_code for response in in_flight} <= {409}
        assert all(fields_of(response) == ["Idempotency-Key"] for response in in_flight)
        assert all(int(response.headers["Retry-After"]) >= 1 for response in in_flight)
        assert users_in(database) == 1
        assert register(app).data == original.data


class TestAnotherBody:
    @pytest.mark.parametrize("change", [{"password": "another-horse-battery"}, {"lastName": "D"}])
    def test_it_is_a_422_that_names_the_header(
        self, client: FlaskClient, database: Database, change: dict[str, Any]
    ) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        response = client.post(REGISTER, json=JOHN | change, headers=KEY)

        assert response.status_code == 422
        assert fields_of(response) == ["Idempotency-Key"]
        assert "john" not in response.text.lower()
        assert users_in(database) == 1

    def test_another_key_is_another_request(self, client: FlaskClient) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        response = client.post(REGISTER, json=JOHN, headers={"Idempotency-Key": "another"})

        assert is_taken(response)

    def test_a_body_that_was_wrong_may_be_mended(self, client: FlaskClient) -> None:
        wrong = client.post(REGISTER, json=JOHN | {"email": "nobody"}, headers=KEY)
        mended = client.post(REGISTER, json=JOHN, headers=KEY)

        assert (wrong.status_code, mended.status_code) == (422, 201)


class TestNotKept:
    def test_a_503_leaves_the_key_free(
        self, make_app: MakeApp, database: Database
    ) -> None:
        app = make_app(hash_concurrency=1)
        passwords = services_of(app).passwords
        passwords._wait_seconds = 0.05
        assert passwords._slots.acquire()
        busy = register(app)
        passwords._slots.release()

        repeated = register(app)

        assert (busy.status_code, repeated.status_code) == (503, 201)
        assert not is_replay(repeated)
        assert users_in(database) == 1

    def test_a_429_leaves_the_key_free(
        self, make_app: MakeApp, redis_client: RedisClient
    ) -> None:
        app = make_app(rate_limit_register=RateLimit("register", 1, 60))
        app.test_client().post(REGISTER, json={})
        refused = register(app)
        assert list(redis_client.scan("idempotency:*")) == []
        redis_client.delete("rate_limit:usermanagement:127.0.0.1")

        repeated = register(app)

        assert (refused.status_code, repeated.status_code) == (429, 201)
        assert not is_replay(repeated)


class TestHeader:
    @pytest.mark.parametrize("key", ["", " ", "x" * 10_000, "a\x00b", "a\nb", "é", "a b", "a,b"])
    def test_what_is_no_key_is_a_400_that_names_it(
        self, client: FlaskClient, database: Database, key: str
    ) -> None:
        environ = {"HTTP_IDEMPOTENCY_KEY": key}

        response = client.post(REGISTER, json=JOHN, environ_overrides=environ)

        assert response.status_code == 400
        assert fields_of(response) == ["Idempotency-Key"]
        assert users_in(database) == 0

    @pytest.mark.parametrize("key", ["{}:*", "*", "a:b", "%00", "x" * 255, "../../user:1"])
    def test_a_strange_one_works_and_touches_nothing_else(
        self, client: FlaskClient, redis_client: RedisClient, key: str
    ) -> None:
        responses = [
            client.post(REGISTER, json=JOHN, headers={"Idempotency-Key": key}) for _ in range(2)
        ]

        assert [is_replay(response) for response in responses] == [False, True]
        assert len(list(redis_client.scan(RECORDS))) == 1


class TestSecrets:
    def test_nothing_of_the_key_or_the_password_is_in_redis(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        client.post(REGISTER, json=JOHN, headers=KEY)

        (record,) = redis_client.scan(RECORDS)
        shown = record + json.dumps(redis_client.hgetall(record))
        assert JOHN["password"] not in shown
        assert KEY["Idempotency-Key"] not in shown
        assert "argon2" not in shown

    def test_the_session_cookie_of_another_is_of_no_concern(
        self, client: FlaskClient, log_in: Callable[[], str]
    ) -> None:
        """The route asks nobody who they are, so a session does not change whose key it is."""
        other = JOHN | {"username": "other", "email": "other@example.com"}
        client.post(REGISTER, json=other, headers=KEY)

        headers = KEY | {"Authorization": f"Bearer {log_in()}"}
        assert is_replay(client.post(REGISTER, json=other, headers=headers))


class TestFaults:
    """What happens when Redis, or the process, dies between taking the key and the response."""

    def test_without_redis_it_is_a_503_and_no_user(
        self, make_app: MakeApp, own_redis: RedisServer, database: Database
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        own_redis.kill()

        refused = register(app)

        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert users_in(database) == 0

    def test_sigkill_of_redis_in_between_is_answered_and_the_constraint_decides(
        self,
        make_app: MakeApp,
        start_redis: Callable[..., RedisServer],
        connect: Callable[..., RedisClient],
        database: Database,
    ) -> None:
        server = start_redis(appendfsync="always")
        app = make_app(redis_url=server.url)

        once_in_flight(app, server.kill)
        assert register(app).status_code == 201

        server.start()
        app = make_app(redis_url=f"{server.url}/0")  # another worker
        in_flight = register(app)
        assert in_flight.status_code == 409
        assert fields_of(in_flight) == ["Idempotency-Key"]

        client = connect(server)
        (record,) = client.scan(RECORDS)
        client.execute("PEXPIRE", record, 0)  # the lease ends
        repeated = register(app)
        assert is_taken(repeated)
        assert users_in(database) == 1

    def test_a_request_that_outlives_its_lease_makes_no_second_user(
        self, app: Flask, redis_client: RedisClient, database: Database
    ) -> None:
        later: list[TestResponse] = []

        def outlive() -> None:
            (record,) = redis_client.scan(RECORDS)
            redis_client.execute("PEXPIRE", record, 0)
            later.append(register(app))

        once_in_flight(app, outlive)
        slow = register(app)

        assert later[0].status_code == 201
        assert is_taken(slow)
        assert register(app).data == later[0].data  # not what the slow one was told
        assert users_in(database) == 1


def test_openapi_describes_the_header_and_the_answers(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    assert described is not None
    paths = described["paths"]
    register = paths[REGISTER]["post"]

    (header,) = [one for one in register["parameters"] if one["in"] == "header"]
    assert (header["name"], header["required"]) == ("Idempotency-Key", False)
    assert {"400", "409", "422", "503"} <= set(register["responses"])
    assert register["responses"]["201"]["headers"]["Idempotency-Replayed"]["required"] is False
    assert "Retry-After" in register["responses"]["409"]["headers"]
    assert "Idempotency-Key" not in json.dumps(paths["/api/v1/airliner/login"])
