"""Whatever a client sends gets a clear 4xx with the field's name, and stores nothing."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from werkzeug.test import TestResponse

from app.models import User
from app.services import Services
from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.testing.kit import API, json_of, problem_of

from .conftest import FORGOT, JOHN, NEW_PASSWORD, REGISTER, Json, messages_in, users_in

JSON = {"Content-Type": "application/json"}
VERIFY = f"{API}/email/verify"
RESET = f"{API}/password/reset"
RESET_BODY: Json = {"token": "x", "newPassword": NEW_PASSWORD}


@pytest.fixture(autouse=True)
def _nothing_is_stored(database: Database, redis_client: RedisClient) -> Iterator[None]:
    yield
    assert users_in(database) == 0
    assert list(redis_client.scan("user:*")) == []


def refused(response: TestResponse, status: int, field: str) -> str:
    """The message about `field` in a response of that status."""
    assert response.status_code == status
    assert json_of(response)["request_id"] == response.headers["X-Request-ID"]
    messages = {detail["field"]: detail["message"] for detail in json_of(response)["details"]}
    assert field in messages, messages
    message = str(messages[field])
    assert status != 422 or message[0].isupper()
    return message


INVALID: dict[str, list[Any]] = {
    "username": [
        "ab",
        "a" * 21,
        "john doe",
        "john{1}",
        "john:1",
        "john*",
        "jöhn",
        "john\n",
        "john\u202e",
        "john/..",
        "j%00n",
        None,
    ],
    "email": [
        "john",
        "john@",
        "@example.com",
        "john@example",
        "a b@example.com",
        "john@example.com\n",
        "john@exa\x00mple.com",
        "john\u202e@example.com",
        "<john@example.com>",
        "John <john@example.com>",
        "a@" + "b" * 300 + ".com",
        "john@localhost",
        "john@[127.0.0.1]",
        "=?utf-8?q?x?=@example.com",
        "x=?y@example.com",
        "a@b@example.com",
        None,
    ],
    "password": [None],
    "firstName": [
        "a" * 101,
        "Jo\x00hn",
        "Jo\nhn",
        "\x1b[31mJohn",
        "John\u202egnp",
        "\u2066John",
        "Jo\u200bhn",
        "\ufeffJohn",
        "\u00ad",
        "\u200d",
        "\u3164",
        "Jo\u034fhn",
        "\u0301" * 100,
        "...",
    ],
    "lastName": [],
    "dateOfBirth": [
        "2999-01-01",
        "1899-12-31",
        "1850-01-01",
        "0001-01-01",
        "1990-13-01",
        "1990-02-30",
        "1990-1-1",
        "01/01/1990",
        "19900101",
        "1990-01-01T00:00:00",
        "0000-01-01",
        "\uff11\uff19\uff19\uff10-01-01",
        631152000,
    ],
}
WRONG_TYPES: list[Any] = [7, 1.5, True, [], {}, ["a"], {"$ne": None}]
EMPTY = ["", "\x00", " ", "a\x00b"]


class TestFields:
    @pytest.mark.parametrize("field", ["username", "email", "password"])
    def test_a_missing_field_is_named(self, client: FlaskClient, field: str) -> None:
        body = {name: value for name, value in JOHN.items() if name != field}

        assert refused(client.post(REGISTER, json=body), 422, field) == "Required"

    def test_every_invalid_field_is_named_at_once(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json={"username": "x", "email": "x", "password": "x"})

        assert set(problem_of(response)[1]) == {"username", "email", "password"}

    @pytest.mark.parametrize("field", INVALID)
    def test_an_invalid_value_is_a_422_with_the_field(
        self, client: FlaskClient, field: str
    ) -> None:
        for value in [*WRONG_TYPES, *EMPTY, *INVALID[field]]:
            refused(client.post(REGISTER, json=JOHN | {field: value}), 422, field)

    def test_an_unknown_field_is_a_422_with_its_name(self, client: FlaskClient) -> None:
        for name in ("id", "role", "isAdmin", "passwordHash", "first_name", "__proto__"):
            response = client.post(REGISTER, json=JOHN | {name: "x"})

            assert refused(response, 422, name) == "Unknown field"

    @pytest.mark.parametrize(
        ("password", "message"),
        [
            ("short7!", "Must have at least 8 and at most 128 characters"),
            ("x" * 129, "at most 128"),
            ("\ufdfa" * 20, "at most 128"),  # one character, eighteen when normalized
            (
                "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44123",
                "Too easy to guess: this is a very common password",
            ),
            ("password123", "common password"),
            ("qwertyuiop", "easy to guess"),
            ("aaaaaaaaaaaaaaaa", "easy to guess"),
            ("JOHN_doe", "Must not be your name or e-mail address"),
            ("john@example.com", "Must not be your name or e-mail address"),
            ("john_doe1990", "easy to guess"),
        ],
    )
    def test_weak_passwords(self, client: FlaskClient, password: str, message: str) -> None:
        response = client.post(REGISTER, json=JOHN | {"password": password})

        assert message in refused(response, 422, "password")

    def test_the_password_is_not_repeated(
        self, client: FlaskClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = client.post(REGISTER, json=JOHN | {"password": "hunter2"})

        assert "hunter2" not in response.text
        assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (VERIFY, {}, "token"),
        *((VERIFY, {"token": value}, "token") for value in ("", 7, None, ["x"], "x" * 201)),
        (FORGOT, {}, "email"),
        *((FORGOT, {"email": value}, "email") for value in ("x", 7, None, "john@example.com\x00")),
        *(
            (RESET, RESET_BODY | {"token": value}, "token")
            for value in ("", None, ["x"], "x" * 201)
        ),
        *((RESET, RESET_BODY | {"newPassword": value}, "newPassword") for value in (7, "x" * 129)),
        (RESET, RESET_BODY | {"userId": 1}, "userId"),
    ],
)
def test_an_invalid_value_for_a_link_route_is_a_422_with_the_field(
    client: FlaskClient, services: Services, path: str, body: Json, field: str
) -> None:
    assert problem_of(client.post(path, json=body)) == (422, [field])
    assert messages_in(services) == []


def test_requesting_a_link_takes_no_body(client: FlaskClient) -> None:
    response = client.post(f"{API}/email/verification", data="{" * 100, headers=JSON)

    assert response.status_code == 401


class TestCost:
    """What a request may cost: the CPU time of this process, with much slack."""

    @pytest.mark.parametrize(
        "body",
        [
            JOHN
            | {"password": "443+!6|4<7<$+@{%6@(!(@55{(56[@(%$8[1$%[5|695[9+4[3(!8(9(63[|($(1+"},
            JOHN | {"password": '4@8({[<369|1!7+05$%2"*4)4@8({[<369|1!7+05$%2"*4)4@8({[<369|1!7+'},
            {"username": [[[[[[[[[]]]]]]]]] * 700},
            {f"{n}": [] for n in range(1200)},
        ],
        ids=["l33t", "l33t-again", "brackets", "unknown"],
    )
    def test_no_body_costs_a_second(
        self, client: FlaskClient, database: Database, redis_client: RedisClient, body: Any
    ) -> None:
        began = time.process_time()

        response = client.post(REGISTER, json=body)

        assert time.process_time() - began < 1
        assert response.status_code in {201, 422}
        with database.begin() as tx:
            tx.execute(delete(User), execution_options={"cache_keys": ()})
        redis_client.execute("FLUSHALL")

    def test_a_long_accept_header_is_not_parsed(self, client: FlaskClient) -> None:
        response = client.get("/nothing", headers={"Accept": "a/b;q=0.1," * 10_000})

        assert response.status_code == 404
        assert response.content_type == "application/json"


class TestRequests:
    @pytest.mark.parametrize(
        "path", ["/nothing", "/api", "/api/v1/airliner/nothing", "/%00", "/..%2f..%2fetc", "/é"]
    )
    def test_an_unknown_path_is_a_404(self, client: FlaskClient, path: str) -> None:
        response = client.get(path)

        assert response.status_code == 404
        assert json_of(response)["error"] == "Not Found"

    @pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", "{}", "a;b"])
    def test_an_invalid_request_id_is_replaced(self, client: FlaskClient, given: str) -> None:
        response = client.get("/livez", headers={"X-Request-ID": given})

        assert response.headers["X-Request-ID"] != given
        assert len(response.headers["X-Request-ID"]) == 32

    def test_a_valid_request_id_is_kept(self, client: FlaskClient) -> None:
        response = client.get("/nothing", headers={"X-Request-ID": "abc-123"})

        assert response.headers["X-Request-ID"] == "abc-123"
        assert json_of(response)["request_id"] == "abc-123"


fuzzed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    change=st.dictionaries(st.sampled_from([*JOHN, "x"]), values, max_size=3),
    invalid=st.sampled_from([{"username": ""}, {"email": "nobody"}, {"password": "password"}]),
)
@fuzzed
def test_any_document_is_a_4xx(client: FlaskClient, change: Json, invalid: Json) -> None:
    response = client.post(REGISTER, data=json.dumps(JOHN | change | invalid), headers=JSON)

    assert response.status_code in {400, 422}
    assert json_of(response)["details"]


@given(data=st.binary(max_size=200))
@fuzzed
def test_any_bytes_are_a_4xx(client: FlaskClient, data: bytes) -> None:
    response = client.post(REGISTER, data=data, headers=JSON)

    assert response.status_code in {400, 422}


@given(
    path=st.sampled_from([VERIFY, FORGOT, RESET]),
    document=st.dictionaries(st.sampled_from(["token", "newPassword", "email", "x"]), values),
)
@fuzzed
def test_any_document_for_a_link_route_is_a_4xx(
    client: FlaskClient, path: str, document: Json
) -> None:
    response = client.post(path, data=json.dumps(document), headers=JSON)

    assert response.status_code in {400, 422}
    assert json_of(response)["details"]
