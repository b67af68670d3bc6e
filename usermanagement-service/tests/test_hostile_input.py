"""Whatever a client sends gets a clear 4xx with the field's name, and stores nothing."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from app.models import User
from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.db import Database

from .conftest import API, JOHN, REGISTER

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _nothing_is_stored(database: Database, redis_client: RedisClient) -> Iterator[None]:
    yield
    with database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(User)) == 0
    assert list(redis_client.scan("user:*")) == []


def refused(response: Any, status: int, field: str) -> str:
    """The message about `field` in an response of that status."""
    assert response.status_code == status
    assert json_of(response)["request_id"] == response.headers["X-Request-ID"]
    messages = {detail["field"]: detail["message"] for detail in json_of(response)["details"]}
    assert field in messages, response.json
    return str(messages[field])


class TestFields:
    @pytest.mark.parametrize("field", ["username", "email", "password"])
    def test_a_missing_field_is_named(self, client: FlaskClient, field: str) -> None:
        body = {name: value for name, value in JOHN.items() if name != field}

        assert "required" in refused(client.post(REGISTER, json=body), 422, field)

    def test_every_invalid_field_is_named_at_once(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json={"username": "x", "email": "x", "password": "x"})

        assert {d["field"] for d in json_of(response)["details"]} == {"username", "email", "password"}

    @pytest.mark.parametrize(
        "field", ["username", "email", "password", "firstName", "lastName", "dateOfBirth"]
    )
    @pytest.mark.parametrize(
        "value", [7, 1.5, True, [], {}, ["a"], {"$ne": None}, "", "\x00", " ", "a\x00b"]
    )
    def test_wrong_types_and_empty_values(self, client: FlaskClient, field: str, value: Any) -> None:
        refused(client.post(REGISTER, json=JOHN | {field: value}), 422, field)

    @pytest.mark.parametrize("field", ["username", "email", "password"])
    def test_null_is_not_a_value(self, client: FlaskClient, field: str) -> None:
        refused(client.post(REGISTER, json=JOHN | {field: None}), 422, field)

    @pytest.mark.parametrize(
        "name", ["id", "role", "isAdmin", "passwordHash", "first_name", "__proto__"]
    )
    def test_unknown_fields_are_refused(self, client: FlaskClient, name: str) -> None:
        refused(client.post(REGISTER, json=JOHN | {name: "x"}), 422, name)

    @pytest.mark.parametrize(
        "username",
        [
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
        ],
    )
    def test_usernames(self, client: FlaskClient, username: str) -> None:
        refused(client.post(REGISTER, json=JOHN | {"username": username}), 422, "username")

    @pytest.mark.parametrize(
        "email",
        [
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
            "a@b@example.com",
        ],
    )
    def test_email_addresses(self, client: FlaskClient, email: str) -> None:
        refused(client.post(REGISTER, json=JOHN | {"email": email}), 422, "email")

    @pytest.mark.parametrize(
        "name",
        [
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
    )
    def test_personal_names(self, client: FlaskClient, name: str) -> None:
        refused(client.post(REGISTER, json=JOHN | {"firstName": name}), 422, "firstName")

    @pytest.mark.parametrize(
        "day",
        [
            "2999-01-01",
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
    )
    def test_dates_of_birth(self, client: FlaskClient, day: Any) -> None:
        refused(client.post(REGISTER, json=JOHN | {"dateOfBirth": day}), 422, "dateOfBirth")

    @pytest.mark.parametrize(
        ("password", "says"),
        [
            ("short7!", "at least 8"),
            ("x" * 129, "at most 128"),
            ("\ufdfa" * 20, "at most 128"),  # one sign, eighteen letters when normalized
            ("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44123", "common password"),
            ("password123", "common password"),
            ("qwertyuiop", "easy to guess"),
            ("aaaaaaaaaaaaaaaa", "easy to guess"),
            ("JOHN_doe", "must not be your name"),
            ("john@example.com", "must not be your name or e-mail"),
            ("john_doe1990", "easy to guess"),
        ],
    )
    def test_passwords(self, client: FlaskClient, password: str, says: str) -> None:
        response = client.post(REGISTER, json=JOHN | {"password": password})

        assert says in refused(response, 422, "password")

    def test_the_password_is_not_repeated(
        self, client: FlaskClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = client.post(REGISTER, json=JOHN | {"password": "hunter2"})

        assert "hunter2" not in response.text
        assert "hunter2" not in caplog.text


class TestBodies:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "not json",
            "{'a': 1}",
            '{"a": NaN}',
            '{"a": Infinity}',
            '{"username": "a",}',
            "\ufeff{}",
            "\x00",
            '{"username": "\\ud800"}',
            '{"a": ' + "9" * 5000 + "}",
        ],
    )
    def test_malformed_json_is_a_400(self, client: FlaskClient, text: str) -> None:
        refused(client.post(REGISTER, data=text.encode(), headers=JSON), 400, "body")

    @pytest.mark.parametrize("data", ["{}".encode("utf-16"), b'{"username": "\xff"}'])
    def test_another_encoding_than_utf8_is_a_400(self, client: FlaskClient, data: bytes) -> None:
        refused(client.post(REGISTER, data=data, headers=JSON), 400, "body")

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_deep_nesting_is_a_400(self, client: FlaskClient, opening: str) -> None:
        refused(client.post(REGISTER, data=opening * 3_000, headers=JSON), 400, "body")

    def test_balanced_deep_nesting_is_a_400(self, client: FlaskClient) -> None:
        text = '{"username": ' + "[" * 7_000 + "]" * 7_000 + "}"

        refused(client.post(REGISTER, data=text, headers=JSON), 400, "body")

    def test_a_duplicate_field_is_a_400_with_its_name(self, client: FlaskClient) -> None:
        text = json.dumps(JOHN)[:-1] + ', "email": "evil@example.com"}'

        message = refused(client.post(REGISTER, data=text, headers=JSON), 400, "email")

        assert message == "given more than once"

    @pytest.mark.parametrize("document", [[], [JOHN], "john", 7, None, True])
    def test_another_type_than_an_object_is_a_422(self, client: FlaskClient, document: Any) -> None:
        refused(client.post(REGISTER, data=json.dumps(document), headers=JSON), 422, "body")

    def test_a_body_over_the_limit_is_a_413(self, client: FlaskClient) -> None:
        data = json.dumps(JOHN | {"firstName": "x" * 10_000_000})

        message = refused(client.post(REGISTER, data=data, headers=JSON), 413, "body")

        assert "1048576 bytes" in message  # MAX_BODY_BYTES: refused before it is read

    def test_a_body_over_the_limit_of_the_route_is_a_413(self, client: FlaskClient) -> None:
        data = json.dumps(JOHN | {"firstName": "x" * 17_000})

        assert "16384 bytes" in refused(client.post(REGISTER, data=data, headers=JSON), 413, "body")

    def test_any_number_of_unknown_fields_gets_a_short_response(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json={f"x{n}": n for n in range(1000)})

        assert response.status_code == 422
        assert len(response.data) < 10_000

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/json; charset=latin-1",
        ],
    )
    def test_another_content_type_is_a_415(
        self, client: FlaskClient, content_type: str | None
    ) -> None:
        response = client.post(REGISTER, data=json.dumps(JOHN), content_type=content_type)

        assert response.status_code == 415

    def test_a_compressed_body_is_a_415(self, client: FlaskClient) -> None:
        response = client.post(
            REGISTER, data=b"\x1f\x8b", headers=JSON | {"Content-Encoding": "gzip"}
        )

        assert response.status_code == 415


class TestBodiesOfLinkRoutes:
    """The other routes without a login."""

    PATHS = (f"{API}/email/verify", f"{API}/password/forgot", f"{API}/password/reset")

    @pytest.fixture(params=PATHS)
    def path(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize(
        "text", ["", "{", "\x00", '{"token": "\\ud800"}', '{"a": NaN}', "[" * 3_000]
    )
    def test_malformed_json_is_a_400(self, client: FlaskClient, path: str, text: str) -> None:
        refused(client.post(path, data=text.encode(), headers=JSON), 400, "body")

    @pytest.mark.parametrize("document", [[], "x", 7, None, True])
    def test_another_type_than_an_object_is_a_422(
        self, client: FlaskClient, path: str, document: Any
    ) -> None:
        refused(client.post(path, data=json.dumps(document), headers=JSON), 422, "body")

    @pytest.mark.parametrize("name", ["userId", "purpose", "role", "new_password", "__proto__"])
    def test_unknown_fields_are_refused(self, client: FlaskClient, path: str, name: str) -> None:
        refused(client.post(path, json={name: "x"}), 422, name)

    def test_a_duplicate_field_is_a_400_with_its_name(
        self, client: FlaskClient, path: str
    ) -> None:
        text = '{"token": "x", "token": "y"}'

        refused(client.post(path, data=text, headers=JSON), 400, "token")

    def test_a_long_body_is_a_413(self, client: FlaskClient, path: str) -> None:
        refused(client.post(path, json={"token": "x" * 17_000}), 413, "body")

    def test_another_content_type_is_a_415(self, client: FlaskClient, path: str) -> None:
        assert client.post(path, data="{}", content_type="text/plain").status_code == 415

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_another_method_is_a_405(self, client: FlaskClient, path: str, method: str) -> None:
        assert client.open(path, method=method).status_code == 405

    def test_requesting_a_link_takes_no_body(self, client: FlaskClient) -> None:
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
    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    def test_another_method_is_a_405_with_allow(self, client: FlaskClient, method: str) -> None:
        response = client.open(REGISTER, method=method)

        assert response.status_code == 405
        assert response.headers["Allow"] == "OPTIONS, POST"

    @pytest.mark.parametrize(
        "path", ["/", "/api", "/api/v1/airliner/nothing", "/%00", "/..%2f..%2fetc", "/é"]
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

    def test_problem_details_are_sent_on_request(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json={}, headers={"Accept": "application/problem+json"})

        assert response.content_type == "application/problem+json"
        problem = json.loads(response.data)
        assert problem["type"] == "about:blank"
        assert problem["status"] == 422
        assert problem["detail"] == "Validation failed"
        assert {error["field"] for error in problem["errors"]} == {"username", "email", "password"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    change=st.dictionaries(st.sampled_from([*JOHN, "x"]), values, max_size=3),
    invalid=st.sampled_from([{"username": ""}, {"email": "nobody"}, {"password": "password"}]),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_is_a_4xx(
    client: FlaskClient, change: dict[str, Any], invalid: dict[str, Any]
) -> None:
    response = client.post(REGISTER, data=json.dumps(JOHN | change | invalid), headers=JSON)

    assert response.status_code in {400, 422}
    assert json_of(response)["details"]


@given(data=st.binary(max_size=200))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_a_4xx(client: FlaskClient, data: bytes) -> None:
    response = client.post(REGISTER, data=data, headers=JSON)

    assert response.status_code in {400, 422}


@given(
    path=st.sampled_from(TestBodiesOfLinkRoutes.PATHS),
    document=st.dictionaries(st.sampled_from(["token", "newPassword", "email", "x"]), values),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_for_a_link_route_is_a_4xx(
    client: FlaskClient, path: str, document: dict[str, Any]
) -> None:
    response = client.post(path, data=json.dumps(document), headers=JSON)

    assert response.status_code in {400, 422}
    assert json_of(response)["details"]
