"""`@idempotent`: repetitions of requests with an Idempotency-Key."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.web import (
    Problem,
    current_session,
    idempotency_key,
    idempotent,
    login_required,
)

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
MALFORMED_KEYS = [
    "", " ", '""', '"', '"open', 'a"b', '"a"b"', r'"a\b"', '"a";b=1', '"a","b"', "a,b", "a b",
    "a\tb", "a\x00b", "a\x7fb", "é", "a" * 256, '"' + "a" * 256 + '"', "a" * 10_000,
]  # fmt: skip

Post = Callable[..., TestResponse]


class Things:
    """What the routes have made. `during` is called while a request is processed."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.during: Callable[[], object] = lambda: None


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def make_client(
    things: Things, make_service: Callable[..., Flask]
) -> Callable[[RedisClient], FlaskClient]:
    def make(redis_client: RedisClient) -> FlaskClient:
        app = make_service(redis_client=redis_client)
        add_routes(app, things)
        return app.test_client(use_cookies=False)

    return make


@pytest.fixture
def client(
    make_client: Callable[[RedisClient], FlaskClient], redis_client: RedisClient
) -> FlaskClient:
    return make_client(redis_client)


def add_routes(app: Flask, things: Things) -> None:
    def make() -> Response:
        things.made.append(request.path)
        things.during()
        response = jsonify(number=len(things.made))
        response.set_cookie("secret", "cookie")
        response.headers.update({"Location": "/things/1", "X-Other": "other", "ETag": '"1"'})
        return response

    @app.route("/things", methods=["POST", "PATCH", "GET"])
    @app.post("/things/<name>")
    @idempotent
    def make_thing(**_: str) -> tuple[Response, int]:
        return make(), 201

    @app.post("/others")
    @idempotent
    def make_other() -> Response:
        return make()

    @app.post("/mine")
    @login_required()
    @idempotent
    def make_mine() -> Response:
        things.made.append(current_session().user_id)
        return jsonify(user_id=current_session().user_id, number=len(things.made))

    @app.post("/keys")
    @idempotent(secret=False)
    def make_with_key() -> Response:
        things.made.append(idempotency_key())
        return jsonify(key=idempotency_key())

    @app.post("/plain")
    def make_plain() -> Response:
        return make()

    @app.post("/status/<int:status>")
    @idempotent
    def response(status: int) -> Response:
        things.made.append(status)
        raise Problem(status, "By request")

    @app.post("/faulty")
    @idempotent
    def fail() -> Response:
        things.made.append("faulty")
        raise LookupError

    @app.post("/large/<int:size>")
    @idempotent
    def make_large(size: int) -> Response:
        things.made.append(size)
        return Response("x" * size)


def is_replay(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


class TestKeysForSql:
    def test_the_key_is_a_digest_with_or_without_quotes(
        self, client: FlaskClient, things: Things
    ) -> None:
        digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of "key"

        client.post("/keys", json={}, headers={"Idempotency-Key": "key"})
        client.post("/keys", json={"a": 1}, headers={"Idempotency-Key": '"kez"'})
        client.post("/keys", json={})

        assert things.made[0] == digest
        assert things.made[1] not in {digest, None}
        assert things.made[2] is None

    def test_a_route_without_secrets_replays_and_refuses_alike(
        self, client: FlaskClient, things: Things
    ) -> None:
        responses = [client.post("/keys", json=body, headers=KEY) for body in ({}, {}, {"a": 1})]

        assert [response.status_code for response in responses] == [200, 200, 422]
        assert is_replay(responses[1])
        assert len(things.made) == 1


class TestReplay:
    def test_the_response_is_replayed_byte_for_byte(
        self, client: FlaskClient, things: Things
    ) -> None:
        first = client.post("/things", json={"a": 1}, headers=KEY)
        again = client.post("/things", json={"a": 1}, headers=KEY)

        assert len(things.made) == 1
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.data == first.data
        assert (is_replay(first), is_replay(again)) == (False, True)

    def test_only_safe_headers_are_replayed(self, client: FlaskClient) -> None:
        first = client.post("/things", headers=KEY)
        again = client.post("/things", headers=KEY)

        assert "Set-Cookie" in first.headers
        assert set(again.headers.keys()) == {
            "Content-Type",
            "Content-Length",
            "Location",
            "Idempotency-Replayed",
            "X-Request-ID",
        }
        assert again.headers["Location"] == first.headers["Location"] == "/things/1"
        assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]

    def test_requests_without_the_header_are_not_affected(
        self, client: FlaskClient, things: Things, redis_client: RedisClient
    ) -> None:
        responses = [client.post("/things", json={"a": 1}) for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        assert len(things.made) == 2
        assert list(redis_client.scan("idempotency:*")) == []

    def test_a_route_without_the_decorator_ignores_keys(
        self, client: FlaskClient, things: Things
    ) -> None:
        for _ in range(2):
            client.post("/plain", headers=KEY)

        assert len(things.made) == 2

    def test_options_requests_take_no_key(self, client: FlaskClient) -> None:
        assert client.options("/things", headers=KEY).status_code == 200
        assert not is_replay(client.post("/things", headers=KEY))

    def test_a_key_in_quotes_is_the_same_key(self, client: FlaskClient) -> None:
        client.post("/things", headers={"Idempotency-Key": "a-b"})

        assert is_replay(client.post("/things", headers={"Idempotency-Key": '"a-b"'}))
        assert not is_replay(client.post("/things", headers={"Idempotency-Key": r'"a\"b"'}))
        assert is_replay(client.post("/things", headers={"Idempotency-Key": r'"a\"b"'}))


class TestDifferentRequest:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/things", b"other"),
            ("POST", "/things", b"body "),
            ("POST", "/things", b""),
            ("POST", "/things?a=1", b"body"),
            ("POST", "/things/7", b"body"),
            ("PATCH", "/things", b"body"),
        ],
    )
    def test_it_is_a_422_that_names_the_header(
        self, client: FlaskClient, things: Things, method: str, path: str, body: bytes
    ) -> None:
        client.post("/things", data=b"body", headers=KEY)

        response = client.open(path, method=method, data=body, headers=KEY)

        assert response.status_code == 422
        assert response.json is not None
        assert response.json["details"][0]["field"] == "Idempotency-Key"
        assert len(things.made) == 1

    def test_a_key_belongs_to_one_route(self, client: FlaskClient, things: Things) -> None:
        client.post("/things", data=b"body", headers=KEY)

        response = client.post("/others", data=b"body", headers=KEY)

        assert response.status_code == 200
        assert len(things.made) == 2


class TestUsers:
    def test_a_key_belongs_to_one_user(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        sessions = SessionStore(redis_client)
        tokens = [sessions.create(user_id, {}).session_id for user_id in (7, 8, 7)]

        responses = [
            client.post("/mine", headers=KEY | {"Authorization": f"Bearer {token}"})
            for token in tokens
        ]

        assert [response.json for response in responses] == [
            {"user_id": 7, "number": 1},
            {"user_id": 8, "number": 2},
            {"user_id": 7, "number": 1},  # by another session of the same user
        ]
        assert [is_replay(response) for response in responses] == [False, False, True]

    def test_without_a_session_nothing_is_replayed(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        session = SessionStore(redis_client).create(7, {})
        headers = KEY | {"Authorization": f"Bearer {session.session_id}"}
        client.post("/mine", headers=headers)

        assert client.post("/mine", headers=KEY).status_code == 401
        SessionStore(redis_client).revoke(session.session_id)
        assert client.post("/mine", headers=headers).status_code == 401


class TestInFlight:
    def test_a_repetition_during_the_request_is_a_409_with_retry_after(
        self, client: FlaskClient, things: Things
    ) -> None:
        repetitions: list[TestResponse] = []

        def repeat() -> None:
            things.during = lambda: None
            bodies = (b"body", b"other")
            repetitions.extend(client.post("/things", data=body, headers=KEY) for body in bodies)

        things.during = repeat
        first = client.post("/things", data=b"body", headers=KEY)

        same, other = repetitions
        assert first.status_code == 201
        assert same.status_code == 409
        assert same.headers["Retry-After"] == "1"
        assert same.json is not None
        assert same.json["details"][0]["field"] == "Idempotency-Key"
        assert other.status_code == 422
        assert is_replay(client.post("/things", data=b"body", headers=KEY))

    def test_a_request_that_outlives_its_lease_does_not_replace_the_kept_response(
        self, client: FlaskClient, things: Things, redis_client: RedisClient
    ) -> None:
        later: list[TestResponse] = []

        def outlive() -> None:
            things.during = lambda: None
            redis_client.delete(*redis_client.scan("idempotency:*"))
            later.append(client.post("/things", headers=KEY))

        things.during = outlive
        slow = client.post("/things", headers=KEY)

        assert slow.json == {"number": 2}
        assert client.post("/things", headers=KEY).data == later[0].data


class TestKeptResponses:
    @pytest.mark.parametrize("status", [403, 404, 409, 410])
    def test_a_final_error_is_replayed(
        self, client: FlaskClient, things: Things, status: int
    ) -> None:
        first = client.post(f"/status/{status}", headers=KEY)
        again = client.post(f"/status/{status}", headers=KEY)

        assert things.made == [status]
        assert (again.status_code, again.data) == (status, first.data)
        assert is_replay(again)
        assert again.content_type == "application/json"

    @pytest.mark.parametrize("status", [400, 401, 408, 413, 415, 422, 425, 429, 500, 502, 503, 504])
    def test_other_errors_do_not_use_the_key_up(
        self, client: FlaskClient, things: Things, redis_client: RedisClient, status: int
    ) -> None:
        for body in (b"body", b"body", b"corrected"):
            response = client.post(f"/status/{status}", data=body, headers=KEY)
            assert response.status_code == status
            assert not is_replay(response)

        assert things.made == [status] * 3
        assert list(redis_client.scan("idempotency:*")) == []

    def test_an_unexpected_error_does_not_use_the_key_up(
        self, client: FlaskClient, things: Things, redis_client: RedisClient
    ) -> None:
        for _ in range(2):
            assert client.post("/faulty", headers=KEY).status_code == 500

        assert len(things.made) == 2
        assert list(redis_client.scan("idempotency:*")) == []

    @pytest.mark.parametrize(("size", "times"), [(64 * 1024, 1), (64 * 1024 + 1, 2)])
    def test_a_response_that_is_too_large_is_not_kept(
        self, client: FlaskClient, things: Things, size: int, times: int
    ) -> None:
        responses = [client.post(f"/large/{size}", headers=KEY) for _ in range(2)]

        assert [len(response.data) for response in responses] == [size, size]
        assert len(things.made) == times


class TestHeader:
    @pytest.mark.parametrize("key", MALFORMED_KEYS)
    def test_a_malformed_key_is_a_400_that_names_the_header(
        self, client: FlaskClient, things: Things, key: str
    ) -> None:
        environ = {"HTTP_IDEMPOTENCY_KEY": key}

        response = client.post("/things", environ_overrides=environ)

        assert response.status_code == 400
        assert response.json is not None
        assert response.json["details"][0]["field"] == "Idempotency-Key"
        assert things.made == []

    def test_two_headers_are_a_400(self, client: FlaskClient) -> None:
        headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

        assert client.post("/things", headers=headers).status_code == 400

    @pytest.mark.parametrize(
        "key", ["a", "a" * 255, '"' + "a" * 255 + '"', "{}:*", "../..%00", "*", '"a, b"', "+/=;~"]
    )
    def test_every_well_formed_key_works(
        self, client: FlaskClient, redis_client: RedisClient, key: str
    ) -> None:
        responses = [client.post("/things", headers={"Idempotency-Key": key}) for _ in range(2)]

        assert [is_replay(response) for response in responses] == [False, True]
        (name,) = redis_client.scan("idempotency:*")
        assert name.startswith("idempotency:test:make_thing/anyone:")
        assert len(name.rpartition(":")[2]) == 64  # a digest


class TestBody:
    def test_a_body_that_is_too_long_does_not_use_the_key_up(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        response = client.post("/things", data=b"x" * (1024 * 1024 + 1), headers=KEY)

        assert response.status_code == 413
        assert list(redis_client.scan("idempotency:*")) == []

    def test_a_body_that_ended_early_does_not_use_the_key_up(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        environ = {"CONTENT_LENGTH": "100"}
        response = client.post("/things", data=b"x", headers=KEY, environ_overrides=environ)

        assert response.status_code == 400
        assert list(redis_client.scan("idempotency:*")) == []
        assert client.post("/things", data=b"x" * 100, headers=KEY).status_code == 201


class TestOutage:
    def test_with_the_header_it_is_a_503_and_without_it_not(
        self,
        make_client: Callable[[RedisClient], FlaskClient],
        own_redis: RedisServer,
        connect: Callable[..., RedisClient],
        things: Things,
    ) -> None:
        client = make_client(connect(own_redis))
        own_redis.kill()

        refused = client.post("/things", headers=KEY)

        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert things.made == []
        assert client.post("/things").status_code == 201

    def test_a_request_during_which_redis_dies_succeeds(
        self,
        make_client: Callable[[RedisClient], FlaskClient],
        own_redis: RedisServer,
        connect: Callable[..., RedisClient],
        things: Things,
    ) -> None:
        client = make_client(connect(own_redis))
        things.during = own_redis.kill

        response = client.post("/things", headers=KEY)

        assert response.status_code == 201
        assert response.json == {"number": 1}


def test_outcomes_are_counted(client: FlaskClient) -> None:
    client.post("/things", headers=KEY)
    client.post("/things", headers=KEY)
    client.post("/things", data=b"other", headers=KEY)
    client.post("/faulty", headers=KEY)

    families = text_string_to_metric_families(client.get("/metrics").text)
    counted = {
        sample.labels["outcome"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "idempotency_keys_total"
    }
    assert counted == {"begun": 2, "done": 1, "mismatch": 1, "finish": 1, "abandon": 1}


def test_redis_contains_neither_the_key_nor_the_body(
    client: FlaskClient, redis_client: RedisClient
) -> None:
    client.post("/others", json={"password": "correct-horse-battery"}, headers=KEY)

    (name,) = redis_client.scan("idempotency:*")
    record = redis_client.hgetall(name)
    assert KEY["Idempotency-Key"] not in name + json.dumps(record)
    assert "correct-horse-battery" not in json.dumps(record)
    assert set(record) == {"fingerprint", "status", "content_type", "location", "body"}
