"""What the errors of pages have in common: the page to log in, and the problem of any error."""

import logging
from urllib.parse import urlencode

from flask import Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from ..problem_types import CommonProblem
from ..problems import Problem, find_problem

logger = logging.getLogger(__name__)


def own_path(path: str) -> str:
    """A path of this service as browsers see it: with PATH_PREFIX if the request had it."""
    return f"{request.script_root}{path}"


def see_other(target: str) -> Response:
    """Go to another page, with a GET."""
    headers = {"Location": target, "Cache-Control": "no-store"}
    return Response(status=303, headers=headers)


def to_login(login_page: str, back: str, *, is_old: bool) -> BaseResponse:
    """Redirect to the page to log in, and from there to `back`.

    `is_old` is for a login that is there, and only too old for what was asked.
    """
    parameters = {"next": back}
    if is_old:
        parameters["reason"] = "old" if request.method == "GET" else "act"
    target = f"{login_page}?{urlencode(parameters)}"
    if "HX-Request" in request.headers:
        return Response(status=401, headers={"HX-Redirect": target})
    return see_other(target)


def known_problem(error: Exception) -> Problem | None:
    """The problem of an error that the app has a response to; None for an unexpected one."""
    if isinstance(error, HTTPException):
        kind = CommonProblem.NOT_FOUND if error.code == 404 else CommonProblem.BAD_REQUEST
        return Problem(kind, status=error.code or 500)
    return find_problem(error)


def problem_of_page(error: Exception) -> Problem:
    """The problem of any error. An unexpected one is logged."""
    problem = known_problem(error)
    if problem is None:
        logger.error("Unexpected error", exc_info=error)
        return Problem(CommonProblem.INTERNAL_ERROR)
    return problem
