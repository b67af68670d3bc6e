"""Errors in the front are pages: that of the form, the page to log in, or one that explains."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from ..problem_types import CommonProblem, ProblemType
from ..problems import Problem, RateLimitExceeded
from .errors import known_problem, own_path, problem_of_page, to_login
from .front_forms import Given, given
from .pages import with_query

_TEXTS: Mapping[ProblemType, str] = {
    CommonProblem.NOT_FOUND: "There is nothing at this address.",
    CommonProblem.CROSS_SITE_REQUEST: "Another page sent this form. Nothing was changed.",
    CommonProblem.UNSUPPORTED_MEDIA_TYPE: "The form could not be read.",
    CommonProblem.MALFORMED_BODY: "The form could not be read.",
    CommonProblem.MALFORMED_HEADER: "The form was not complete. Open its page again.",
    CommonProblem.IDEMPOTENCY_KEY_REUSED: "This form was sent before, with something else in it.",
    CommonProblem.INTERNAL_ERROR: "Something went wrong. It is in our log.",
}
_OUTAGE = "The portal cannot do this at the moment. Nothing is lost: try again in a few seconds."
_LONGEST_WAY_BACK = 1000  # characters: longer ones may not fit into a request line
_OF_FORMS = frozenset({400, 401, 403, 409, 422, 429})
_OF_SESSIONS = frozenset(
    {
        CommonProblem.LOGIN_REQUIRED,
        CommonProblem.SESSION_ENDED,
        CommonProblem.FRESH_LOGIN_REQUIRED,
    }
)


def explained(
    attempt: Callable[[], Response], again: Callable[..., Response], path: Mapping[str, Any]
) -> Response:
    """The response to a form, or its page with what is wrong with it."""
    try:
        return attempt()
    except Exception as error:
        problem = known_problem(error)
        if problem is None or problem.status not in _OF_FORMS or problem.kind in _OF_SESSIONS:
            raise
        g.given = given().refused(problem, _text_of(problem))
        response = again(**path)
        response.status_code = problem.status
        _add_retry_after(response, problem)
        return response


def respond_to(
    show: Callable[..., Response], url: Callable[[str], str], error: Exception
) -> BaseResponse:
    """The response to any error of a page. `show` makes pages, and `url` their addresses."""
    if isinstance(error, HTTPException) and (error.code or 500) < 400:
        return error.get_response()
    problem = problem_of_page(error)
    if problem.kind in _OF_SESSIONS:
        return _to_login(problem, url("/app/login"))
    response = show(
        "error.html",
        problem.status,
        text=_text_of(problem),
        error_status=problem.status,
        details=problem.details,
        fields=_fields_to_repeat() if problem.status in {429, 503} else None,
        page_with_form=_page_with_form(),
    )
    _add_retry_after(response, problem)
    return response


def _text_of(problem: Problem) -> str:
    if problem.status == 503:
        return _OUTAGE
    text = _TEXTS.get(problem.kind, f"{problem.kind.text}.")
    if isinstance(problem, RateLimitExceeded):
        return f"{text} Try again in {_time(problem.decision.retry_after)}."
    return text


def _time(seconds: int) -> str:
    amount, unit = (seconds, "second") if seconds < 100 else (math.ceil(seconds / 60), "minute")
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


def _to_login(problem: Problem, login_page: str) -> BaseResponse:
    path = request.full_path.rstrip("?")
    if request.method != "GET" or len(path) > _LONGEST_WAY_BACK:
        path = _area()
    is_elsewhere = login_page.startswith("http")
    back = f"{request.host_url.rstrip('/')}{own_path(path)}" if is_elsewhere else own_path(path)
    return to_login(login_page, back, is_old=problem.kind is CommonProblem.FRESH_LOGIN_REQUIRED)


def _area() -> str:
    """The first page of the area of the current page or form."""
    return "/".join(request.path.split("/")[:3])


def _page_with_form() -> str:
    """A page that has the form which was sent, or the page that was opened."""
    if request.method == "GET":
        return own_path(request.full_path.rstrip("?"))
    kept = {name: given().get(name) or None for name in ("next", "reason")}
    return with_query(own_path(_area()), **kept)


def _fields_to_repeat() -> list[tuple[str, str]] | None:
    """The form to send again by a button; None if it has secrets, or there was none."""
    if request.method == "GET":
        return None
    try:
        return Given.read().visible()
    except Problem:
        return None


def _add_retry_after(response: Response, problem: Problem) -> None:
    for name in problem.headers.keys() & {"Retry-After"}:
        response.headers[name] = problem.headers[name]
