"""`ETag` and `If-None-Match`: who has the newest answer already is told so in a few bytes."""

from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import Response, make_response, request
from werkzeug.exceptions import PreconditionFailed

from .declarations import Route, declare


def conditional(view: Route) -> Route:
    """Give the answers of a route for reading an ETag, and a 304 to whoever has that one.

    The tag is a digest of the body. The route runs in any case: what is saved is the transfer.
    """

    @wraps(view)
    def tagged(*args: Any, **kwargs: Any) -> Response:
        response = make_response(view(*args, **kwargs))
        response.headers["Cache-Control"] = "private, no-cache"
        return with_etag(response)

    return declare(tagged, conditional=True)  # type: ignore[return-value]  # the same view


def with_etag(response: Response) -> Response:
    """Tag an answer to a GET, or turn it into a 304. Raises PreconditionFailed, for If-Match."""
    response.add_etag()
    response.make_conditional(request)
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed
    return response
