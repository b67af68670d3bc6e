"""Bodies: bounded, well-formed, and exactly what a pydantic model declares."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import current_app, request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from .problems import Detail, Problem

_DRAINED_AT_MOST = 16 * 1024 * 1024  # bytes

Route = TypeVar("Route", bound=Callable[..., Any])


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


def body(model: type[Schema]) -> Callable[[Route], Route]:
    """Declare that a route takes a JSON body, and pass it on as the argument `body`.

    400 when it is not well-formed, 413 over MAX_BODY_BYTES, 415 when it is not JSON, 422 naming
    every field that does not fit.
    """

    def declare(view: Route) -> Route:
        @wraps(view)
        def parse_first(*args: Any, **kwargs: Any) -> Any:
            return view(*args, body=_parse(model, _read_json()), **kwargs)

        return parse_first  # type: ignore[return-value]  # the same view, less one argument

    return declare


def refuse_declared_size() -> None:
    """Before a request: 413 for a body that says it is too long, before anything reads it."""
    if (request.content_length or 0) > _limit():
        raise _too_long()


def _read_json() -> str:
    if not request.is_json or request.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise Problem(415, "The body must be JSON: send Content-Type: application/json")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem(415, "The body must not be compressed")
    try:
        # Not MAX_CONTENT_LENGTH: Flask cuts a chunked body there and goes on with the rest.
        raw = request.stream.read(_limit() + 1)
    except Exception as error:
        raise _malformed("ended early, or framed wrongly", {"Connection": "close"}) from error
    if len(raw) > _limit():
        raise _too_long()
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("not UTF-8") from error


def _parse(model: type[Schema], text: str) -> Schema:
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
        return model.model_validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        if faults[0]["type"] == "json_invalid":
            raise _malformed(faults[0]["msg"].removeprefix("Invalid JSON: ")) from None
        details = [Detail(_path(fault["loc"]), fault["msg"]) for fault in faults]
        raise Problem(422, "Validation failed", details) from None
    except RecursionError:
        raise _malformed("nested too deeply") from None
    except ValueError as error:
        raise _malformed(str(error)) from None


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
    raise ValueError(f"{name} is not JSON")


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:100] for part in location) or "body"


def _malformed(message: str, headers: dict[str, str] | None = None) -> Problem:
    return Problem(400, "Malformed body", [Detail("body", message)], headers)


def _too_long() -> Problem:
    # Read some of the rest: a client that is still sending when the connection closes may never
    # see the answer.
    left = _DRAINED_AT_MOST
    try:
        while left > 0 and (read := request.stream.read(64 * 1024)):
            left -= len(read)
    except Exception:  # noqa: BLE001, S110  as above; the answer is the same
        pass
    return Problem(
        413,
        "The body is too long",
        [Detail("body", f"at most {_limit()} bytes")],
        {"Connection": "close"},
    )


def _limit() -> int:
    limit: int = current_app.config["MAX_BODY_BYTES"]
    return limit
