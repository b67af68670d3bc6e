"""Errors as clients see them: one body for all, or RFC 9457 problem details for who asks."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask, Response, json, request
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from ..cache_handlers import (
    RedisPoolExhausted,
    RedisUnavailable,
    SessionChanged,
    SessionGone,
    SessionRevoked,
)
from ..logging import request_id

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

_LONGEST_ACCEPT = 1000  # characters


@dataclass(frozen=True, slots=True)
class Detail:
    """What is wrong with one part of the request. `field` is a dotted path, "body", or a header."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """The body of an error."""

    error: str
    details: list[Detail] = Field(description="What is wrong with which field.")
    request_id: str


class ProblemDetails(BaseModel):
    """The same as RFC 9457 has it, for who asks for application/problem+json."""

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
    """An answer that is an error. `error` is for people, and the same for all of its kind."""

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


def problem_response(problem: Problem) -> Response:
    """The problem in the form that the client prefers."""
    if _wants_problem_json():
        return _response(problem, _problem_details(problem))
    body = ErrorBody(error=problem.error, details=problem.details, request_id=request_id.get())
    return _response(problem, body)


def rate_limit_response(retry_after: int) -> Response:
    """429, in the two fields that clients of this API know, or as problem details."""
    problem = Problem(429, "Rate limit exceeded", headers={"Retry-After": str(retry_after)})
    if _wants_problem_json():
        return _response(problem, _problem_details(problem, retry_after))
    return _response(problem, RateLimited(error=problem.error, retry_after=retry_after))


def register_problems(app: Flask) -> None:
    """Answer every error of `app` in these forms."""
    app.register_error_handler(Problem, problem_response)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(RedisUnavailable, _redis_unavailable)
    app.register_error_handler(RedisPoolExhausted, _redis_pool_exhausted)
    app.register_error_handler(SessionGone, _session_ended)
    app.register_error_handler(SessionRevoked, _session_ended)
    app.register_error_handler(SessionChanged, _session_changed)
    app.register_error_handler(OperationalError, _database_unavailable)
    app.register_error_handler(PoolTimeout, _database_unavailable)
    app.register_error_handler(DataError, _not_storable)
    app.register_error_handler(Exception, _unexpected)


def _problem_details(problem: Problem, retry_after: int | None = None) -> ProblemDetails:
    return ProblemDetails(
        type="about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.error,
        errors=problem.details,
        request_id=request_id.get(),
        retry_after=retry_after,
    )


def _response(problem: Problem, body: BaseModel) -> Response:
    media_type = PROBLEM_JSON if isinstance(body, ProblemDetails) else "application/json"
    # Not model_dump_json: it refuses half a surrogate pair, which a message may quote.
    text = json.dumps(body.model_dump(), separators=(",", ":")) + "\n"
    return Response(text, problem.status, problem.headers, mimetype=media_type)


def _wants_problem_json() -> bool:
    if len(request.headers.get("Accept", "")) > _LONGEST_ACCEPT:  # slow to parse, and meant to be
        return False
    accepted = request.accept_mimetypes
    return accepted.best_match(["application/json", PROBLEM_JSON]) == PROBLEM_JSON


def _from_werkzeug(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if error.response is not None or status < 400:  # a redirect, or an answer made elsewhere
        return error.get_response()
    return problem_response(Problem(status, HTTPStatus(status).phrase, headers=headers))


def _redis_unavailable(_: RedisUnavailable) -> Response:
    return problem_response(
        Problem(503, "Temporarily unavailable, try again", headers={"Retry-After": "2"})
    )


def _redis_pool_exhausted(error: RedisPoolExhausted) -> Response:
    logger.warning("Refused a request: %s", error)
    return problem_response(Problem(503, "Too busy, try again", headers={"Retry-After": "1"}))


def _session_ended(_: Exception) -> Response:
    return problem_response(Problem(401, "Log in again", headers={"WWW-Authenticate": "Bearer"}))


def _session_changed(_: SessionChanged) -> Response:
    return problem_response(Problem(409, "The session changed meanwhile, try again"))


def _database_unavailable(error: Exception) -> Response:
    logger.error("The SQL database failed: %s", getattr(error, "orig", None) or error)
    return problem_response(
        Problem(503, "Temporarily unavailable, try again", headers={"Retry-After": "5"})
    )


def _not_storable(error: DataError) -> Response:
    """Databases differ in what they take: PostgreSQL refuses NUL, and numbers out of range."""
    logger.warning("The SQL database refused a value: %s", error.orig)
    return problem_response(
        Problem(422, "Validation failed", [Detail("body", "has a value that cannot be stored")])
    )


def _unexpected(error: Exception) -> Response:
    logger.error("Unexpected error", exc_info=error)
    return problem_response(Problem(500, "Internal error"))
