"""What comes in: bounded, well-formed, exactly what a model declares; and what goes out."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Response, current_app, request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from .declarations import Route, declare
from .problems import Detail, Problem

_MOST_DETAILS = 50  # that one answer lists
_BODY = "pyportal.body"  # in the environ: `g` is shared by a request made within a request
_STALLED = 5.0  # seconds
_DRAINED_AT_MOST = 16 * 1024 * 1024  # bytes
_DRAIN_SECONDS = 2.0


class Schema(BaseModel):
    """Base of every body that clients send: camelCase, no unknown fields, no conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
    )


class View(BaseModel):
    """Base of everything that clients get: camelCase, read from an object's attributes."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        from_attributes=True,
        serialize_by_alias=True,
        validate_by_name=True,
    )


def body(model: type[Schema], *, max_bytes: int = 16 * 1024) -> Callable[[Route], Route]:
    """Declare that a route takes a JSON body, and pass it on as the argument `body`.

    400 when it is not well-formed, 413 over `max_bytes` or MAX_BODY_BYTES, 415 when it is not JSON,
    422 naming every field that does not fit. `max_bytes` bounds what a hostile body can cost: a
    megabyte of brackets takes seconds to refuse.
    """

    def parsing(view: Route) -> Route:
        @wraps(view)
        def parse_first(*args: Any, **kwargs: Any) -> Any:
            return view(*args, body=_parse(model, _read_json(max_bytes)), **kwargs)

        # The same view, less one argument.
        return declare(parse_first, body=model, max_bytes=max_bytes)  # type: ignore[return-value]

    return parsing


def query(model: type[Schema]) -> Callable[[Route], Route]:
    """Declare what may follow the question mark, and pass it on as the argument `query`.

    422 naming every parameter that does not fit, is not known, or comes twice.
    """

    def parsing(view: Route) -> Route:
        @wraps(view)
        def parse_first(*args: Any, **kwargs: Any) -> Any:
            return view(*args, query=_parse_query(model), **kwargs)

        # The same view, less one argument.
        return declare(parse_first, query=model)  # type: ignore[return-value]

    return parsing


def respond(view: View, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with this body."""
    text = view.model_dump_json() + "\n"
    return Response(text, status, headers, mimetype="application/json")


def refuse_declared_size() -> None:
    """Before a request: 413 for a body that says it is too long, before anything reads it."""
    limit: int = current_app.config["MAX_BODY_BYTES"]
    if (request.content_length or 0) > limit:
        raise _too_long(limit)


def read_body(max_bytes: int | None = None) -> bytes:
    """The body as it was sent, read from the client once a request.

    400 when it ended early, 413 over `max_bytes` or MAX_BODY_BYTES.
    """
    if _BODY not in request.environ:
        most: int = current_app.config["MAX_BODY_BYTES"]
        request.environ[_BODY] = _read_all(most if max_bytes is None else min(max_bytes, most))
    raw: bytes = request.environ[_BODY]
    return raw


def _read_json(max_bytes: int) -> str:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if not request.is_json or charset not in {"utf-8", "utf8"}:
        raise Problem(415, "The body must be JSON in UTF-8: send Content-Type: application/json")
    if request.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
        raise Problem(415, "The body must not be compressed")
    try:
        return read_body(max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("not UTF-8") from error


def _read_all(limit: int) -> bytes:
    raw = _read(limit + 1)
    if len(raw) > limit:
        raise _too_long(limit)
    if len(raw) < (request.content_length or 0):
        raise _malformed("ended early")
    return raw


def _read(at_most: int) -> bytes:
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(_STALLED)  # a thread waits no longer for a client's next byte
    try:
        # Not MAX_CONTENT_LENGTH: Flask cuts a chunked body there and goes on with the rest.
        return bytes(request.stream.read(at_most))
    except Exception as error:
        raise _malformed("ended early, or framed wrongly") from error


def _parse(model: type[Schema], text: str) -> Schema:
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise _malformed(first["msg"].removeprefix("Invalid JSON: ")) from None
        raise _invalid(error) from None
    except RecursionError:
        raise _malformed("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _malformed(str(error)) from None
    except ValueError:
        raise _malformed("a number is too long") from None


def _parse_query(model: type[Schema]) -> Schema:
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        details = [Detail(name[:100], "given more than once") for name in twice[:_MOST_DETAILS]]
        raise Problem(422, "Validation failed", details)
    try:
        return model.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        raise _invalid(error, whole="query") from None


def _invalid(error: ValidationError, *, whole: str = "body") -> Problem:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    details = [
        Detail(_path(fault["loc"]) or whole, fault["msg"]) for fault in faults[:_MOST_DETAILS]
    ]
    return Problem(422, "Validation failed", details)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Problem(400, "Malformed body", [Detail(name[:100], "given more than once")])
            seen.add(name)
    return names


def _refuse_constant(name: str) -> None:
    raise _malformed(f"{name} is not JSON")


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:100] for part in location)


def _malformed(message: str) -> Problem:
    return Problem(400, "Malformed body", [Detail("body", message)])


def _too_long(limit: int) -> Problem:
    # Read some of the rest: a client that is still sending when the connection closes may never
    # see the answer.
    left, until = _DRAINED_AT_MOST, time.monotonic() + _DRAIN_SECONDS
    with contextlib.suppress(Problem):
        while left > 0 and time.monotonic() < until and (read := _read(64 * 1024)):
            left -= len(read)
    return Problem(413, "The body is too long", [Detail("body", f"at most {limit} bytes")])
