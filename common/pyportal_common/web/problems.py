"""Error responses: one body for all errors, or RFC 9457 problem details on request."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, json, request
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from ..cache_handlers import (
    Decision,
    RedisPoolExhausted,
    RedisUnavailable,
    SessionChanged,
    SessionGone,
    SessionRevoked,
)
from ..extension import LimitExceeded
from ..extension.charging import remember
from ..extension.limit_exceeded import PROBLEM_JSON, wants_problem_json
from ..logging import request_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Detail:
    """A problem with one part of a request. `field` is a dotted path, "body", or a header."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """The body of an error."""

    error: str
    details: list[Detail] = Field(description="What is wrong with which field.")
    request_id: str


class ProblemDetails(BaseModel):
    """The body of an error in the form of RFC 9457, for `Accept: application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Detail]
    request_id: str
    retry_after: int | None = Field(None, exclude_if=lambda seconds: seconds is None)


class RateLimited(BaseModel):
    """The body of a 429."""

    error: str
    retry_after: int = Field(description="Seconds to wait.")


class Problem(Exception):
    """An error response. `error` is its text, which is the same for all errors of a kind."""

    def __init__(
        self,
        status: int,
        error: str,
        details: Iterable[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.details = list(details)
        self.headers = headers or {}


class RateLimitExceeded(Problem):
    """429: the request is over a limit. The response carries that limit's headers."""

    def __init__(self, decision: Decision, error: str = "Rate limit exceeded") -> None:
        super().__init__(429, error, headers={"Retry-After": str(decision.retry_after)})
        self.decision = decision


ProblemTable = Mapping[type[Exception], Problem | Callable[[Any], Problem]]
"""The response to each error: a problem, or a function that makes one from the error."""


def unauthorized(error: str) -> Problem:
    """401, with WWW-Authenticate."""
    return Problem(401, error, headers={"WWW-Authenticate": "Bearer"})


def register_problems(app: Flask, table: ProblemTable) -> None:
    """Respond to every error of `app` in one form. `table` has the service's own errors."""
    app.register_error_handler(Problem, _problem_response)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)
    app.extensions["problems"] = {**_COMMON, **table}
    for error, problem in app.extensions["problems"].items():
        app.register_error_handler(error, partial(_respond_by_table, problem))


def problem_of(error: Exception) -> Problem:
    """The problem that the current app responds with to an error that its table has."""
    if isinstance(error, Problem):
        return error
    table: ProblemTable = current_app.extensions["problems"]
    found = next(table[kind] for kind in type(error).__mro__ if kind in table)
    return found if isinstance(found, Problem) else found(error)


def _respond_by_table(problem: Problem | Callable[[Any], Problem], error: Any) -> Response:
    return _problem_response(problem if isinstance(problem, Problem) else problem(error))


def _problem_response(problem: Problem) -> Response:
    """The problem in the form that the client prefers."""
    retry_after = None
    if isinstance(problem, RateLimitExceeded):
        remember(request, problem.decision)
        retry_after = problem.decision.retry_after
    body: BaseModel
    media_type = "application/json"
    if wants_problem_json():
        body, media_type = _problem_details(problem, retry_after), PROBLEM_JSON
    elif retry_after is not None:  # the two fields that the guide documents
        body = RateLimited(error=problem.error, retry_after=retry_after)
    else:
        body = ErrorBody(error=problem.error, details=problem.details, request_id=request_id.get())
    # Not model_dump_json, which refuses the half surrogate pairs that a message may quote.
    text = json.dumps(body.model_dump(), separators=(",", ":")) + "\n"
    return Response(text, problem.status, problem.headers, mimetype=media_type)


def _problem_details(problem: Problem, retry_after: int | None) -> ProblemDetails:
    return ProblemDetails(
        type="about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.error,
        errors=problem.details,
        request_id=request_id.get(),
        retry_after=retry_after,
    )


def _from_werkzeug(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if error.response is not None or status < 400:  # a redirect, or a response of its own
        return error.get_response()
    return _problem_response(Problem(status, HTTPStatus(status).phrase, headers=headers))


def _unexpected(error: Exception) -> Response:
    logger.error("Unexpected error", exc_info=error)
    return _problem_response(Problem(500, "Internal error"))


def _pool_exhausted(error: RedisPoolExhausted) -> Problem:
    logger.warning("Refused a request: %s", error)
    return Problem(503, "Too busy, try again", headers={"Retry-After": "1"})


def _database_unavailable(error: Exception) -> Problem:
    logger.error("The SQL database failed: %s", getattr(error, "orig", None) or error)
    return Problem(503, "Temporarily unavailable, try again", headers={"Retry-After": "5"})


def _not_storable(error: DataError) -> Problem:
    # Databases accept different values: PostgreSQL refuses NUL and numbers out of range.
    logger.warning("The SQL database refused a value: %s", error.orig)
    return Problem(
        422, "Validation failed", [Detail("body", "Contains a value that cannot be stored")]
    )


_COMMON: ProblemTable = {
    LimitExceeded: lambda error: RateLimitExceeded(error.decision),
    RedisUnavailable: Problem(
        503, "Temporarily unavailable, try again", headers={"Retry-After": "2"}
    ),
    RedisPoolExhausted: _pool_exhausted,
    SessionGone: unauthorized("Log in again"),
    SessionRevoked: unauthorized("Log in again"),
    SessionChanged: Problem(409, "The session has changed, try again"),
    OperationalError: _database_unavailable,
    PoolTimeout: _database_unavailable,
    DataError: _not_storable,
}
