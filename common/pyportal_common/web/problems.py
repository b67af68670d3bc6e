"""Error responses: one body for all errors, or RFC 9457 problem details on request."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, json, request
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError
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
from .problem_types import CommonProblem, ProblemType

logger = logging.getLogger(__name__)

_NOT_MIGRATED = {"42P01", "42703"}  # PostgreSQL's undefined_table and undefined_column


@dataclass(frozen=True, slots=True)
class Detail:
    """A problem with one part of a request. `field` is a path such as items.0.name, or a header."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """The body of an error."""

    error: str = Field(description="For people.")
    code: str = Field(description="For programs: the kind of error, see /problems.")
    details: list[Detail] = Field(description="What is wrong with which field.")
    request_id: str


class ProblemDetails(BaseModel):
    """The body of an error in the form of RFC 9457, for `Accept: application/problem+json`."""

    type: str = Field(description="The path of the page that describes this kind of error.")
    code: str
    title: str
    status: int
    detail: str
    errors: list[Detail]
    request_id: str
    retry_after: int | None = Field(None, exclude_if=lambda seconds: seconds is None)


class RateLimited(BaseModel):
    """The body of a 429."""

    error: str
    code: str
    retry_after: int = Field(description="Seconds to wait.")


class Problem(Exception):
    """An error response of a kind, which decides its status unless `status` does."""

    def __init__(
        self,
        kind: ProblemType,
        details: Iterable[Detail] = (),
        headers: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
    ) -> None:
        super().__init__(kind.text)
        self.kind = kind
        self.status = status or kind.status
        self.details = list(details)
        self.headers = dict(headers or {})
        if self.status == 401:
            self.headers.setdefault("WWW-Authenticate", "Bearer")


class RateLimitExceeded(Problem):
    """429: the request is over a limit. The response carries that limit's headers."""

    def __init__(
        self, decision: Decision, kind: ProblemType = CommonProblem.RATE_LIMIT_EXCEEDED
    ) -> None:
        super().__init__(kind, headers={"Retry-After": str(decision.retry_after)})
        self.decision = decision


ProblemTable = Mapping[type[Exception], Problem | Callable[[Any], Problem]]
"""The response to each error: a problem, or a function that makes one from the error."""


def register_problems(app: Flask, table: ProblemTable) -> None:
    """Respond to every error of `app` in one form. `table` has the service's own errors."""
    app.register_error_handler(Problem, _problem_response)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)
    app.extensions["problems"] = {}
    add_problems(app, {**_COMMON, **table})


def add_problems(app: Flask, table: ProblemTable) -> None:
    """Respond to more errors of `app` by a table."""
    app.extensions["problems"].update(table)
    for error, problem in table.items():
        app.register_error_handler(error, partial(_respond_by_table, problem))


def find_problem(error: Exception) -> Problem | None:
    """The problem that the current app responds with to an error; None if its table has none."""
    if isinstance(error, Problem):
        return error
    table: ProblemTable = current_app.extensions["problems"]
    found = next((table[kind] for kind in type(error).__mro__ if kind in table), None)
    return found if found is None or isinstance(found, Problem) else found(error)


def problem_of(error: Exception) -> Problem:
    """As `find_problem`. Raises an error that the table has not."""
    problem = find_problem(error)
    if problem is None:
        raise error
    return problem


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
    elif retry_after is not None:
        body = RateLimited(error=problem.kind.text, code=problem.kind.code, retry_after=retry_after)
    else:
        body = ErrorBody(
            error=problem.kind.text,
            code=problem.kind.code,
            details=problem.details,
            request_id=request_id.get(),
        )
    # Not model_dump_json, which refuses the half surrogate pairs that a message may quote.
    text = json.dumps(body.model_dump(), separators=(",", ":")) + "\n"
    return Response(text, problem.status, problem.headers, mimetype=media_type)


def _problem_details(problem: Problem, retry_after: int | None) -> ProblemDetails:
    return ProblemDetails(
        type=problem.kind.uri,
        code=problem.kind.code,
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.kind.text,
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
    other = CommonProblem.BAD_REQUEST if status < 500 else CommonProblem.INTERNAL_ERROR
    kind = _BY_STATUS.get(status, other)
    return _problem_response(Problem(kind, headers=headers, status=status))


def _unexpected(error: Exception) -> Response:
    logger.error("Unexpected error", exc_info=error)
    return _problem_response(Problem(CommonProblem.INTERNAL_ERROR))


def _pool_exhausted(error: RedisPoolExhausted) -> Problem:
    logger.warning("Refused a request: %s", error)
    return Problem(CommonProblem.TOO_BUSY, headers={"Retry-After": "1"})


def _database_unavailable(error: Exception) -> Problem:
    logger.error("The SQL database failed: %s", getattr(error, "orig", None) or error)
    return Problem(CommonProblem.UNAVAILABLE, headers={"Retry-After": "5"})


def _schema_missing(error: ProgrammingError) -> Problem:
    """The response when this release was started before its migrations."""
    if getattr(error.orig, "sqlstate", None) not in _NOT_MIGRATED:
        logger.error("Unexpected error", exc_info=error)
        return Problem(CommonProblem.INTERNAL_ERROR)
    logger.error("The SQL schema is older than this release, run flask db upgrade: %s", error.orig)
    return Problem(CommonProblem.UNAVAILABLE, headers={"Retry-After": "5"})


def _not_storable(error: DataError) -> Problem:
    # Databases accept different values: PostgreSQL refuses NUL and numbers out of range.
    logger.warning("The SQL database refused a value: %s", error.orig)
    return Problem(
        CommonProblem.VALIDATION_FAILED, [Detail("body", "Contains a value that cannot be stored")]
    )


_BY_STATUS = {
    kind.status: kind
    for kind in (
        CommonProblem.NOT_FOUND,
        CommonProblem.METHOD_NOT_ALLOWED,
        CommonProblem.PRECONDITION_FAILED,
        CommonProblem.BODY_TOO_LONG,
        CommonProblem.UNSUPPORTED_MEDIA_TYPE,
        CommonProblem.INTERNAL_ERROR,
        CommonProblem.UNAVAILABLE,
    )
}
_COMMON: ProblemTable = {
    LimitExceeded: lambda error: RateLimitExceeded(error.decision),
    RedisUnavailable: Problem(CommonProblem.UNAVAILABLE, headers={"Retry-After": "2"}),
    RedisPoolExhausted: _pool_exhausted,
    SessionGone: Problem(CommonProblem.SESSION_ENDED),
    SessionRevoked: Problem(CommonProblem.SESSION_ENDED),
    SessionChanged: Problem(CommonProblem.SESSION_CHANGED),
    OperationalError: _database_unavailable,
    PoolTimeout: _database_unavailable,
    ProgrammingError: _schema_missing,
    DataError: _not_storable,
}
