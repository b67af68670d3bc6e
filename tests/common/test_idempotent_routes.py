"""`@idempotent`: repetitions of requests with an Idempotency-Key."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
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


class Api:
    """A service with idempotent routes, and what they have made.

    `during` is called while a request is processed.
    """

    def __init__(self, app: Flask, redis_client: RedisClient) -> None:
        self.made: list[Any] = []
        self.during: Callable[[], object] = lambda: None
        self.redis = redis_client
        add_routes(app, self)
        self.client = app.test_client(use_cookies=False)

    def post(self, path: str = "/things", **options: Any) -> TestResponse:
        """Send a request, with KEY unless it has other headers."""
        return self.client.post(path, **{"headers": KEY} | options)

    def records(self) -> list[str]:
        """The names of all records in Redis."""
        return list(self.redis.scan("idempotency:*"))


@pytest.fixture
def api(make_service: Callable[..., Flask], redis_client: RedisClient) -> Api:
    return Api(make_service(), redis_client)


def add_routes(app: Flask, api: Api) -> None:
    def make() -> Response:
        api.made.append(request.path)
        api.during()
        response = jsonify(number=len(api.made))
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
        api.made.append(current_session().user_id)
        return jsonify(user_id=current_session().user_id, number=len(api.made))

    @app.post("/keys")
    @idempotent(secret=False)
    def make_with_key() -> Response:
        api.made.append(idempotency_key())
        return jsonify(key=idempotency_key())

    @app.post("/plain")
    def make_plain() -> Response:
        return make()

    @app.post("/status/<int:status>")
    @idempotent
    def response(status: int) -> Response:
        api.made.append(status)
        raise Problem(status, "By request")

    @app.post("/faulty")
    @idempotent
    def fail() -> Response:
        api.made.append("faulty")
        raise LookupError

    @app.post("/large/<int:size>")
    @idempotent
    def make_large(size: int) -> Response:
        api.made.append(size)
        return Response("x" * size)


def is_replay(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def refusal(response: TestResponse) -> tuple[int, str]:
    """The status of an error, and the field that it names."""
    return response.status_code, json.loads(response.text)["details"][0]["field"]


class TestKeysForSql:
    def test_the_key_is_a_digest_with_or_without_quotes(self, api: Api) -> None:
        digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of "key"

        api.post("/keys", json={}, headers={"Idempotency-Key": "key"})
        api.post("/keys", json={"a": 1}, headers={"Idempotency-Key": '"kez"'})
        api.post("/keys", json={}, headers={})

        assert api.made[0] == digest
        assert api.made[1] not in {digest, None}
        assert api.made[2] is None

    def test_a_route_without_secrets_replays_and_refuses_alike(self, api: Api) -> None:
        responses = [api.post("/keys", json=body) for body in ({}, {}, {"a": 1})]

        assert [response.status_code for response in responses] == [200, 200, 422]
        assert is_replay(responses[1])
        assert len(api.made) == 1


class TestReplay:
    def test_the_response_is_replayed_byte_for_byte(self, api: Api) -> None:
        first = api.post(json={"a": 1})
        again = api.post(json={"a": 1})

        assert len(api.made) == 1
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.data == first.data
        assert (is_replay(first), is_replay(again)) == (False, True)

    def test_only_safe_headers_are_replayed(self, api: Api) -> None:
        first = api.post()
        again = api.post()

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

    def test_requests_without_the_header_are_not_affected(self, api: Api) -> None:
        responses = [api.post(json={"a": 1}, headers={}) for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        assert len(api.made) == 2
        assert api.records() == []

    def test_a_route_without_the_decorator_ignores_keys(self, api: Api) -> None:
        for _ in range(2):
            api.post("/plain")

        assert len(api.made) == 2

    def test_options_requests_take_no_key(self, api: Api) -> None:
        assert api.client.options("/things", headers=KEY).status_code == 200
        assert not is_replay(api.post())

    def test_a_key_in_quotes_is_the_same_key(self, api: Api) -> None:
        api.post(headers={"Idempotency-Key": "a-b"})

        assert is_replay(api.post(headers={"Idempotency-Key": '"a-b"'}))
        assert not is_replay(api.post(headers={"Idempotency-Key": r'"a\"b"'}))
        assert is_replay(api.post(headers={"Idempotency-Key": r'"a\"b"'}))


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
        self, api: Api, method: str, path: str, body: bytes
    ) -> None:
        api.post(data=b"body")

        response = api.client.open(path, method=method, data=body, headers=KEY)

        assert refusal(response) == (422, "Idempotency-Key")
        assert len(api.made) == 1

    def test_a_key_belongs_to_one_route(self, api: Api) -> None:
        api.post(data=b"body")

        response = api.post("/others", data=b"body")

        assert response.status_code == 200
        assert len(api.made) == 2


class TestUsers:
    def test_a_key_belongs_to_one_user(self, api: Api) -> None:
        sessions = SessionStore(api.redis)
        tokens = [sessions.create(user_id, {}).session_id for user_id in (7, 8, 7)]

        responses = [
            api.post("/mine", headers=KEY | {"Authorization": f"Bearer {token}"})
            for token in tokens
        ]

        assert [response.json for response in responses] == [
            {"user_id": 7, "number": 1},
            {"user_id": 8, "number": 2},
            {"user_id": 7, "number": 1},  # by another session of the same user
        ]
        assert [is_replay(response) for response in responses] == [False, False, True]

    def test_without_a_session_nothing_is_replayed(self, api: Api) -> None:
        session = SessionStore(api.redis).create(7, {})
        headers = KEY | {"Authorization": f"Bearer {session.session_id}"}
        api.post("/mine", headers=headers)

        assert api.post("/mine").status_code == 401
        SessionStore(api.redis).revoke(session.session_id)
        assert api.post("/mine", headers=headers).status_code == 401


class TestInFlight:
    def test_a_repetition_during_the_request_is_a_409_with_retry_after(self, api: Api) -> None:
        repetitions: list[TestResponse] = []

        def repeat() -> None:
            api.during = lambda: None
            bodies = (b"body", b"other")
            repetitions.extend(api.post(data=body) for body in bodies)

        api.during = repeat
        first = api.post(data=b"body")

        same, other = repetitions
        assert first.status_code == 201
        assert refusal(same) == (409, "Idempotency-Key")
        assert same.headers["Retry-After"] == "1"
        assert other.status_code == 422
        assert is_replay(api.post(data=b"body"))

    def test_a_request_that_outlives_its_lease_does_not_replace_the_kept_response(
        self, api: Api
    ) -> None:
        later: list[TestResponse] = []

        def outlive() -> None:
            api.during = lambda: None
            api.redis.delete(*api.records())
            later.append(api.post())

        api.during = outlive
        slow = api.post()

        assert slow.json == {"number": 2}
        assert api.post().data == later[0].data


class TestKeptResponses:
    @pytest.mark.parametrize("status", [403, 404, 409, 410])
    def test_a_final_error_is_replayed(self, api: Api, status: int) -> None:
        first = api.post(f"/status/{status}")
        again = api.post(f"/status/{status}")

        assert api.made == [status]
        assert (again.status_code, again.data) == (status, first.data)
        assert is_replay(again)
        assert again.content_type == "application/json"

    @pytest.mark.parametrize("status", [400, 401, 408, 413, 415, 422, 425, 429, 500, 502, 503, 504])
    def test_other_errors_do_not_use_the_key_up(self, api: Api, status: int) -> None:
        for body in (b"body", b"body", b"corrected"):
            response = api.post(f"/status/{status}", data=body)
            assert response.status_code == status
            assert not is_replay(response)

        assert api.made == [status] * 3
        assert api.records() == []

    def test_an_unexpected_error_does_not_use_the_key_up(self, api: Api) -> None:
        for _ in range(2):
            assert api.post("/faulty").status_code == 500

        assert len(api.made) == 2
        assert api.records() == []

    @pytest.mark.parametrize(("size", "times"), [(64 * 1024, 1), (64 * 1024 + 1, 2)])
    def test_a_response_that_is_too_large_is_not_kept(
        self, api: Api, size: int, times: int
    ) -> None:
        responses = [api.post(f"/large/{size}") for _ in range(2)]

        assert [len(response.data) for response in responses] == [size, size]
        assert len(api.made) == times


class TestHeader:
    @pytest.mark.parametrize("key", MALFORMED_KEYS)
    def test_a_malformed_key_is_a_400_that_names_the_header(self, api: Api, key: str) -> None:
        environ = {"HTTP_IDEMPOTENCY_KEY": key}

        response = api.post(headers={}, environ_overrides=environ)

        assert refusal(response) == (400, "Idempotency-Key")
        assert api.made == []

    def test_two_headers_are_a_400(self, api: Api) -> None:
        headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

        assert api.post(headers=headers).status_code == 400

    @pytest.mark.parametrize(
        "key", ["a", "a" * 255, '"' + "a" * 255 + '"', "{}:*", "../..%00", "*", '"a, b"', "+/=;~"]
    )
    def test_every_well_formed_key_works(self, api: Api, key: str) -> None:
        responses = [api.post(headers={"Idempotency-Key": key}) for _ in range(2)]

        assert [is_replay(response) for response in responses] == [False, True]
        (name,) = api.records()
        assert name.startswith("idempotency:test:make_thing/anyone:")
        assert len(name.rpartition(":")[2]) == 64  # a digest


class TestBody:
    def test_a_body_that_is_too_long_does_not_use_the_key_up(self, api: Api) -> None:
        response = api.post(data=b"x" * (1024 * 1024 + 1))

        assert response.status_code == 413
        assert api.records() == []

    def test_a_body_that_ended_early_does_not_use_the_key_up(self, api: Api) -> None:
        environ = {"CONTENT_LENGTH": "100"}
        response = api.post(data=b"x", environ_overrides=environ)

        assert response.status_code == 400
        assert api.records() == []
        assert api.post(data=b"x" * 100).status_code == 201


class TestOutage:
    @pytest.fixture
    def redis_client(self, own_client: RedisClient) -> RedisClient:
        return own_client

    def test_with_the_header_it_is_a_503_and_without_it_not(
        self, api: Api, own_redis: RedisServer
    ) -> None:
        own_redis.kill()

        refused = api.post()

        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert api.made == []
        assert api.post(headers={}).status_code == 201

    def test_a_request_during_which_redis_dies_succeeds(
        self, api: Api, own_redis: RedisServer
    ) -> None:
        api.during = own_redis.kill

        response = api.post()

        assert response.status_code == 201
        assert response.json == {"number": 1}


def test_outcomes_are_counted(api: Api) -> None:
    api.post()
    api.post()
    api.post(data=b"other")
    api.post("/faulty")

    families = text_string_to_metric_families(api.client.get("/metrics").text)
    counted = {
        sample.labels["outcome"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "idempotency_keys_total"
    }
    assert counted == {"begun": 2, "done": 1, "mismatch": 1, "finish": 1, "abandon": 1}


def test_redis_contains_neither_the_key_nor_the_body(api: Api) -> None:
    api.post("/others", json={"password": "correct-horse-battery"})

    (name,) = api.records()
    record = api.redis.hgetall(name)
    assert KEY["Idempotency-Key"] not in name + json.dumps(record)
    assert "correct-horse-battery" not in json.dumps(record)
    assert set(record) == {"fingerprint", "status", "content_type", "location", "body"}
