"""Request bodies and query strings: bounded, well-formed, and valid for a declared model."""

import contextlib
import inspect
import json
import re
import time
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import wraps
from typing import Annotated, Any, ClassVar, TypeVar, Union

from flask import Request, current_app, request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from .declarations import Operation, Route, declare
from .problem_types import CommonProblem
from .problems import Detail, Problem

_MAX_DETAILS = 50  # in one response
_BODY = "pyportal.body"  # in the environ, because nested requests share `g`
_READ_TIMEOUT_SECONDS = 5.0
_MAX_NAME_LENGTH = 100  # of a name in a message
_MAX_DRAINED_BYTES = 16 * 1024 * 1024
_DRAIN_SECONDS = 2.0


class Schema(BaseModel):
    """Base of every request body and query: camelCase, no unknown fields, no conversions."""

    described_as: ClassVar[tuple[type[BaseModel], ...]] = ()
    """Models of which a body is exactly one. OpenAPI has them in place of this one."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if not cls.described_as:
            return handler(schema)
        union: Any = Union[cls.described_as]  # noqa: UP007  a tuple
        described = handler(TypeAdapter(union).core_schema)
        return {"description": inspect.getdoc(cls), "oneOf": described["anyOf"]}


Part = TypeVar("Part", bound=Schema)


def otherwise(message: str) -> WrapValidator:
    """For `Annotated`, after a StringConstraints(pattern=…): the message for other values."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            if error.errors(include_url=False)[0]["type"] != "string_pattern_mismatch":
                raise
            raise PydanticCustomError("pattern", "{message}", {"message": message}) from None

    return WrapValidator(check)


Cursor = Annotated[
    str,
    StringConstraints(pattern="^[1-9][0-9]{0,17}$"),
    otherwise("Must be the `next` of the previous page"),
]
"""A query parameter with the id at which the next page begins."""

PageSize = Annotated[
    int, Field(ge=1, le=100, description="The largest number of items in the page.")
]
"""A query parameter with the length of a page."""


class PageQuery(Schema):
    """Base of the query of a list. A cursor is an id, so its row may be gone."""

    cursor: Cursor | None = Field(None, description="The `next` of the previous page.")
    limit: PageSize = 50


def _day(given: str | date) -> date:
    """Pydantic also accepts numbers as dates."""
    text = str(given)
    if re.fullmatch("2[0-9]{3}-[0-9]{2}-[0-9]{2}", text):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text)
    raise PydanticCustomError("day", "Must be a date, such as 2030-01-31")


Day = Annotated[date, BeforeValidator(_day)]
"""A query parameter with a day from the year 2000 to 2999."""


def body(model: type[Schema], *, max_bytes: int = 16 * 1024) -> Callable[[Route], Route]:
    """Declare a route's JSON body, and pass it to the view as `body`.

    400 for malformed JSON, 413 over `max_bytes` or MAX_BODY_BYTES, 415 for another content type,
    422 naming every invalid field. `max_bytes` bounds the cost of a hostile body: refusing a
    megabyte of brackets takes seconds.
    """
    declarations = {"body": model, "max_bytes": max_bytes}
    return _passing("body", lambda: _parse(model, _read_json(max_bytes)), declarations)


def query(model: type[Schema]) -> Callable[[Route], Route]:
    """Declare a route's query parameters, and pass them to the view as `query`.

    422 naming every parameter that is invalid, unknown, or given twice. A route without this
    decorator takes no parameters: see `refuse_invalid`.
    """
    return _passing("query", lambda: _parse_query(model), {"query": model})


def _passing(
    name: str, parse: Callable[[], Schema], declarations: Mapping[str, Any]
) -> Callable[[Route], Route]:
    def decorate(view: Route) -> Route:
        @wraps(view)
        def parse_first(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **{name: parse()}, **kwargs)

        # The view without one of its parameters.
        return declare(parse_first, **declarations)  # type: ignore[return-value]

    return decorate


def refuse_invalid(request: Request, operation: Operation, max_bytes: int) -> None:
    """Refuse an oversized body and undeclared query parameters before the route runs.

    413 for a body whose declared size is over MAX_BODY_BYTES. 422 for query parameters of an API
    route that declares none.
    """
    if "CONTENT_LENGTH" in request.environ and (request.content_length or 0) > max_bytes:
        raise _too_long(max_bytes)
    takes_none = operation.response is not None and operation.query is None
    if takes_none and request.query_string and request.args:
        raise _validation_failed(_about(request.args, "Unknown parameter"))


def read_body(max_bytes: int | None = None) -> bytes:
    """The body as sent, read from the client once per request.

    400 if it ends early, 413 over `max_bytes` or MAX_BODY_BYTES.
    """
    if _BODY not in request.environ:
        limit: int = current_app.config["MAX_BODY_BYTES"]
        request.environ[_BODY] = _read_all(limit if max_bytes is None else min(max_bytes, limit))
    raw: bytes = request.environ[_BODY]
    return raw


def _read_json(max_bytes: int) -> str:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if not request.is_json or charset not in {"utf-8", "utf8"}:
        raise Problem(CommonProblem.UNSUPPORTED_MEDIA_TYPE)
    if request.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
        raise Problem(CommonProblem.COMPRESSED_BODY)
    try:
        return read_body(max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("Not UTF-8") from error


def _read_all(limit: int) -> bytes:
    raw = _read(limit + 1)
    if len(raw) > limit:
        raise _too_long(limit)
    if len(raw) < (request.content_length or 0):
        raise _malformed("Ended early")
    return raw


def _read(at_most: int) -> bytes:
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(_READ_TIMEOUT_SECONDS)
    try:
        # Not MAX_CONTENT_LENGTH: Flask truncates a chunked body there and runs the route.
        return bytes(request.stream.read(at_most))
    except Exception as error:
        raise _malformed("Ended early, or has invalid framing") from error


def _parse(model: type[Schema], text: str) -> Schema:
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise _not_json(text, first["msg"]) from None
        raise invalid(error) from None
    except RecursionError:
        raise _malformed("Nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _not_json(text, str(error)) from None
    except ValueError:
        raise _malformed("A number is too long") from None


def validated(model: type[Part], value: Any) -> Part:
    """A part of a body, as its model describes it. Raises Problem: 422."""
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise invalid(error) from None


def _not_json(text: str, reason: str) -> Problem:
    """A parser's error, in our words. Its `reason` has the position."""
    if not text.strip():
        return _malformed("Empty: a JSON object is required")
    if text.startswith("\ufeff"):
        return _malformed("Must not begin with a byte order mark")
    if "ecursion" in reason:
        return _malformed("Nested too deeply")
    position = re.search(r"line (\d+) column (\d+)", reason)
    where = f" at line {position[1]}, column {position[2]}" if position else ""
    return _malformed(f"Not valid JSON{where}")


def _parse_query(model: type[Schema]) -> Schema:
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise _validation_failed(_about(repeated, "Given more than once"))
    try:
        return model.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        raise invalid(error, whole="query") from None


def invalid(error: ValidationError, *, whole: str = "body") -> Problem:
    """The problem that names every invalid part of a body or query (see `whole`)."""
    errors = error.errors(include_url=False, include_input=False)[:_MAX_DETAILS]
    return _validation_failed(
        Detail(_path(error["loc"]) or whole, message_of(error, whole)) for error in errors
    )


def _about(names: Iterable[str], message: str) -> Iterable[Detail]:
    return [Detail(name[:_MAX_NAME_LENGTH], message) for name in names][:_MAX_DETAILS]


def _validation_failed(details: Iterable[Detail]) -> Problem:
    return Problem(CommonProblem.VALIDATION_FAILED, details)


_DATE = "Must be a date, such as 1990-01-31"
_MOMENT = "Must be a date and time, such as 2030-01-31T12:00:00Z"
MESSAGES = {
    "bool_parsing": "Must be true or false",
    "bool_type": "Must be true or false",
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_parsing": _DATE,
    "date_type": _DATE,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_type": _MOMENT,
    "dict_type": "Must be an object",
    "enum": "Must be {expected}",
    "finite_number": "Must be a finite number",
    "float_parsing": "Must be a number",
    "float_type": "Must be a number",
    "greater_than": "Must be greater than {gt}",
    "greater_than_equal": "Must be at least {ge}",
    "int_from_float": "Must be a whole number",
    "int_parsing": "Must be a whole number",
    "int_parsing_size": "Must be a shorter number",
    "int_type": "Must be a whole number",
    "less_than": "Must be less than {lt}",
    "less_than_equal": "Must be at most {le}",
    "list_type": "Must be an array",
    "literal_error": "Must be {expected}",
    "missing": "Required",
    "model_type": "Must be an object",
    "none_required": "Must be null",
    "string_pattern_mismatch": "Must match the pattern {pattern}",
    "string_too_long": "Must have at most {max_length} characters",
    "string_too_short": "Must have at least {min_length} characters",
    "string_type": "Must be a string",
    "timezone_aware": "Must have a time zone, such as 2030-01-31T12:00:00Z",
    "too_long": "Must have at most {max_length} items",
    "too_short": "Must have at least {min_length} items",
    "union_tag_invalid": "Must be one of {expected_tags}",
    "union_tag_not_found": "The field {discriminator} is required",
    "uuid_parsing": "Must be a UUID",
    "uuid_type": "Must be a UUID",
}
# The texts of pydantic's other errors are not sent to clients. Those of our validators are: their
# errors have other types, or this one if a validator raises ValueError.
_PYDANTIC_ERRORS = frozenset(typing.get_args(core_schema.ErrorType)) - {"value_error"}


def message_of(error: ErrorDetails, whole: str = "body") -> str:
    """The message to the client about an invalid part of a body or query (see `whole`)."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return "Unknown parameter" if whole == "query" else "Unknown field"
    if kind in {"too_short", "too_long"} and error.get("ctx", {}).get("field_type") == "Value":
        kind = f"string_{kind}"  # of a SecretStr
    if kind in MESSAGES:
        message = MESSAGES[kind].format_map(error.get("ctx", {}))
        return re.sub(r"\b1 (character|item)s$", r"1 \1", message)
    if kind in _PYDANTIC_ERRORS:
        return "Invalid value"
    return _capitalized(error["msg"].removeprefix("Value error, "))


def _capitalized(message: str) -> str:
    return message[:1].upper() + message[1:]


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Problem(CommonProblem.MALFORMED_BODY, _about([name], "Given more than once"))
    return names


def _refuse_constant(name: str) -> None:
    raise _malformed(f"{name} is not JSON")


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:_MAX_NAME_LENGTH] for part in location)


def _malformed(message: str) -> Problem:
    return Problem(CommonProblem.MALFORMED_BODY, [Detail("body", message)])


def _too_long(limit: int) -> Problem:
    # Read some of the rest: a client that is still sending when the connection closes may not read
    # the response.
    left, until = _MAX_DRAINED_BYTES, time.monotonic() + _DRAIN_SECONDS
    with contextlib.suppress(Problem):
        while left > 0 and time.monotonic() < until and (read := _read(64 * 1024)):
            left -= len(read)
    return Problem(CommonProblem.BODY_TOO_LONG, [Detail("body", f"At most {limit} bytes")])
