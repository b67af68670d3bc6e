"""Successful responses: their body, `ETag` and caching headers, and their declaration."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from flask import Response, make_response, request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from werkzeug.exceptions import PreconditionFailed

from ..cache_handlers import JsonValue
from .declarations import Operation, ResponseSpec, Route, declare

Item = TypeVar("Item")


class View(BaseModel):
    """Base of every response body: camelCase, read from an object's attributes."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        from_attributes=True,
        serialize_by_alias=True,
        validate_by_name=True,
    )


class Page(View, Generic[Item]):
    """A page of a list."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    items: list[Item]
    next: str | None = Field(None, description="The cursor of the next page, null on the last.")


def responses(
    model: type[BaseModel] | None = None,
    *,
    status: int = 200,
    also: int | None = None,
    problems: Iterable[int] = (),
    headers: Mapping[str, str] | None = None,
    media_type: str | None = None,
) -> Callable[[Route], Route]:
    """Declare a route's response for OpenAPI: a body described by `model`, or an empty one.

    A file has a `media_type` instead of a model. `also` is a second status with the same body.
    `problems` are the statuses of the route's own errors; those that follow from its other
    declarations are added. `headers` maps names to descriptions.
    """
    spec = ResponseSpec(model, status, also, tuple(problems), headers or {}, media_type)
    return lambda view: declare(view, response=spec)


def respond(view: View, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response with this body."""
    text = view.model_dump_json() + "\n"
    return Response(text, status, headers, mimetype="application/json")


def respond_text(text: str) -> Response:
    """A JSON response with this text, which is that of a cached value: see `Cache.find`."""
    return Response(text + "\n", mimetype="application/json")


def respond_page(page: JsonValue) -> Response:
    """A JSON response with a page, and a link to the next one: see `JsonValue.first_page`."""
    return with_next_link(respond_text(page.text), page.value["next"])


def with_next_link(response: Response, cursor: str | None) -> Response:
    """Add a `Link` to the page that begins at the cursor, if there is one."""
    if cursor is not None:
        parameters = urlencode({**request.args, "cursor": cursor})
        response.headers["Link"] = (
            f'<{quote(request.script_root + request.path)}?{parameters}>; rel="next"'
        )
    return response


def respond_one(name: str, found: JsonValue) -> Response:
    """A JSON response with this value as its only member."""
    return respond_text(f'{{"{name}":{found.text}}}')


def conditional(view: Route) -> Route:
    """Give the responses of a GET route an ETag, and respond 304 if the client's copy has it.

    The tag is a digest of the body, so the route runs every time; a 304 only saves the transfer.
    """

    @wraps(view)
    def tagged(*args: Any, **kwargs: Any) -> Response:
        response = make_response(view(*args, **kwargs))
        response.headers["Cache-Control"] = "private, no-cache"
        return with_etag(response)

    return declare(tagged, conditional=True)  # type: ignore[return-value]  # same signature


def with_etag(response: Response) -> Response:
    """Add an ETag to a response to a GET, or make it a 304. Raises PreconditionFailed."""
    response.add_etag()
    response.make_conditional(request)
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed
    return response


def forbid_storing(response: Response, operation: Operation) -> None:
    """Send `Cache-Control: no-store` with an API response that sets no other."""
    if operation.response is not None and not response.headers.getlist("Cache-Control"):
        response.headers["Cache-Control"] = "no-store"
