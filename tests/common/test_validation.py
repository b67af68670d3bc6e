"""The messages about invalid bodies and queries are ours, and never pydantic's."""

import enum
import json
import typing
import uuid
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from flask import Flask
from pydantic import (
    AwareDatetime,
    Field,
    SecretStr,
    Strict,
    StringConstraints,
    ValidationError,
    create_model,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema
from werkzeug.test import TestResponse

from common.pyportal_common.web import Schema, body, otherwise
from common.pyportal_common.web.requests import MESSAGES, message_of

ZONE = "Must have a time zone, such as 2030-01-31T12:00:00Z"
DATE = "Must be a date, such as 1990-01-31"
MOMENT = "Must be a date and time, such as 2030-01-31T12:00:00Z"


Post = Callable[[bytes], TestResponse]


@pytest.fixture
def post(make_service: Callable[..., Flask]) -> Post:
    """Posts a body to a route that takes a `Named`."""
    app = make_service()

    @app.post("/names")
    @body(Named)
    def name(body: Named) -> str:
        return body.name

    client = app.test_client()
    return lambda raw: client.post("/names", data=raw, content_type="application/json")


class Colour(enum.Enum):
    RED = "red"


class Cat(Schema):
    kind: Literal["cat"]


class Dog(Schema):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
LaxDate = Annotated[date, Strict(False)]
LaxDatetime = Annotated[datetime, Strict(False)]
LaxInt = Annotated[int, Strict(False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
OnlyA = Annotated[str, Field(pattern="^a$")]
Long = Annotated[str, Field(min_length=3)]

IN_A_BODY: list[tuple[str, Any, Any, str]] = [
    ("bool_type", bool, 1, "Must be true or false"),
    ("date_from_datetime_inexact", LaxDate, "2020-01-01T01:00:00", DATE),
    ("date_from_datetime_parsing", LaxDate, "x", DATE),
    ("date_parsing", date, "x", DATE),
    ("date_type", date, [], DATE),
    ("datetime_from_date_parsing", LaxDatetime, "2020-13-01", MOMENT),
    ("datetime_parsing", datetime, "x", MOMENT),
    ("datetime_type", datetime, [], MOMENT),
    ("dict_type", dict[str, int], 1, "Must be an object"),
    ("enum", Colour, "blue", "Must be 'red'"),
    ("float_type", float, "x", "Must be a number"),
    ("greater_than", Annotated[int, Field(gt=1)], 1, "Must be greater than 1"),
    ("greater_than_equal", Annotated[int, Field(ge=1)], 0, "Must be at least 1"),
    ("int_from_float", LaxInt, 1.5, "Must be a whole number"),
    ("int_type", int, "1", "Must be a whole number"),
    ("less_than", Annotated[int, Field(lt=1)], 1, "Must be less than 1"),
    ("less_than_equal", Annotated[int, Field(le=1)], 2, "Must be at most 1"),
    ("list_type", list[int], 1, "Must be an array"),
    ("literal_error", Literal["a", "b"], "c", "Must be 'a' or 'b'"),
    ("model_type", Cat, 1, "Must be an object"),
    ("none_required", None, 1, "Must be null"),
    ("string_pattern_mismatch", OnlyA, "b", "Must match the pattern ^a$"),
    ("string_too_long", Annotated[str, Field(max_length=1)], "ab", "Must have at most 1 character"),
    ("string_too_short", Long, "a", "Must have at least 3 characters"),
    ("string_type", str, 1, "Must be a string"),
    ("timezone_aware", AwareDatetime, "2020-01-01T00:00:00", ZONE),
    ("too_long", Annotated[list[int], Field(max_length=2)], [1, 2, 3], "Must have at most 2 items"),
    ("too_short", Annotated[list[int], Field(min_length=1)], [], "Must have at least 1 item"),
    ("union_tag_invalid", Pet, {"kind": "cow"}, "Must be one of 'cat', 'dog'"),
    ("union_tag_not_found", Pet, {}, "The field 'kind' is required"),
    ("uuid_parsing", uuid.UUID, "x", "Must be a UUID"),
    ("uuid_type", uuid.UUID, 1, "Must be a UUID"),
]  # fmt: skip
IN_A_QUERY: list[tuple[str, Any, Any, str]] = [
    ("bool_parsing", bool, "x", "Must be true or false"),
    ("finite_number", Finite, "inf", "Must be a finite number"),
    ("float_parsing", float, "x", "Must be a number"),
    ("int_parsing", int, "x", "Must be a whole number"),
    ("int_parsing_size", int, "1" * 5000, "Must be a shorter number"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "annotation", "value", "message"), IN_A_BODY)
def test_messages_about_bodies(kind: str, annotation: Any, value: Any, message: str) -> None:
    model = create_model("Body", __base__=Schema, field=(annotation, ...))
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(json.dumps({"field": value}))
    [error] = caught.value.errors()

    assert (error["type"], message_of(error)) == (kind, message)


@pytest.mark.parametrize(("kind", "annotation", "value", "message"), IN_A_QUERY)
def test_messages_about_queries(kind: str, annotation: Any, value: Any, message: str) -> None:
    model = create_model("Query", __base__=Schema, field=(annotation, ...))
    with pytest.raises(ValidationError) as caught:
        model.model_validate_strings({"field": value})
    [error] = caught.value.errors()

    assert (error["type"], message_of(error, "query")) == (kind, message)


def test_every_message_of_the_table_is_tested() -> None:
    assert {kind for kind, *_ in IN_A_BODY + IN_A_QUERY} | {"missing"} == set(MESSAGES)


def test_missing_and_unknown_fields() -> None:
    class Body(Schema):
        field: int

    with pytest.raises(ValidationError) as caught:
        Body.model_validate_json('{"other": 1}')
    missing, unknown = caught.value.errors()

    assert message_of(missing) == "Required"
    assert message_of(unknown) == "Unknown field"
    assert message_of(unknown, "query") == "Unknown parameter"


@pytest.mark.parametrize("kind", sorted({*typing.get_args(core_schema.ErrorType)} - set(MESSAGES)))
def test_no_client_reads_a_message_of_pydantic(kind: str) -> None:
    error: ErrorDetails = {"type": kind, "loc": ("field",), "msg": "Input should be", "input": 1}

    # The text of a `value_error` is that of our validator's ValueError: see the next test.
    expected = {"extra_forbidden": "Unknown field", "value_error": "Input should be"}
    assert message_of(error) == expected.get(kind, "Invalid value")


def test_errors_of_our_own_validators_are_sent_capitalized() -> None:
    class Body(Schema):
        name: str

        @field_validator("name")
        @classmethod
        def _check(cls, value: str) -> str:
            if value == "custom":
                raise PydanticCustomError("odd", "must be even")
            raise ValueError("already taken")

    def message(name: str) -> str:
        with pytest.raises(ValidationError) as caught:
            Body(name=name)
        return message_of(caught.value.errors()[0])

    assert message("custom") == "Must be even"
    assert message("other") == "Already taken"


class Named(Schema):
    name: Annotated[str, StringConstraints(pattern="^a$"), otherwise("Must be the letter a")]
    secret: SecretStr = Field(SecretStr("x"), min_length=1, max_length=3)


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"name": "b"}, {"field": "name", "message": "Must be the letter a"}),
        ({"name": 1}, {"field": "name", "message": "Must be a string"}),
        (
            {"name": "a", "secret": ""},
            {"field": "secret", "message": "Must have at least 1 character"},
        ),
        (
            {"name": "a", "secret": "abcd"},
            {"field": "secret", "message": "Must have at most 3 characters"},
        ),
    ],
)
def test_a_pattern_is_described_in_words_and_a_secret_has_characters(
    post: Post, given: Any, detail: Any
) -> None:
    response = post(json.dumps(given).encode())

    assert response.status_code == 422
    assert response.json is not None
    assert response.json["details"] == [detail]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Empty: a JSON object is required"),
        (b'{"name":', "Not valid JSON at line 1, column 9"),
        (b'{\n"name": x}', "Not valid JSON at line 2, column 9"),
        (b"\xef\xbb\xbf{}", "Must not begin with a byte order mark"),
        (b'{"\\ud800": 1}', "Not valid JSON at line 1, column 9"),
        (b"[" * 5000 + b"]" * 5000, "Nested too deeply"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "Nested too deeply"),
    ],
)
def test_malformed_json_is_described_without_the_words_of_a_parser(
    post: Post, raw: bytes, message: str
) -> None:
    response = post(raw)

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["details"] == [{"field": "body", "message": message}]
