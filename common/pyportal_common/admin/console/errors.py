"""Errors in the console are pages; without a login, or with an old one, the page to log in."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from ...cache_handlers import RedisPoolExhausted, RedisUnavailable
from ...extension.state import current_state
from ...operations import OperationRefused, Unknown
from ...web import CommonProblem, ProblemType
from ...web.pages import own_path, problem_of_page, to_login
from .forms import read_back

_DOCTOR = "Use `flask --app wsgi doctor`."
_SESSIONS = f"Redis is unavailable: sessions are in Redis. {_DOCTOR}"
_TEXTS: Mapping[ProblemType, str] = {
    CommonProblem.NOT_ALLOWED: "Only admins may open the console.",
    CommonProblem.NOT_FOUND: "There is nothing at this address.",
    CommonProblem.CROSS_SITE_REQUEST: "Another page sent this request. Nothing was changed.",
    CommonProblem.UNSUPPORTED_MEDIA_TYPE: "The body must be a form.",
    CommonProblem.MALFORMED_BODY: "The form could not be read.",
}


class ReadOnly(Exception):
    """An act in a console that only shows: CONSOLE=read."""


Show = Callable[..., Response]


def error_handler(show: Show, login_at: str) -> Callable[[Exception], BaseResponse]:
    """The function that responds to all errors of a console's routes. `show` makes its pages."""

    def respond(error: Exception) -> BaseResponse:
        if isinstance(error, HTTPException) and (error.code or 500) < 400:
            return error.get_response()
        if isinstance(error, OperationRefused):
            return _page(show, 404 if isinstance(error, Unknown) else 422, _sentence(error))
        if isinstance(error, ReadOnly):
            return _page(show, 403, "This console only shows: CONSOLE=read.")
        problem = problem_of_page(error)
        if problem.status == 401:
            is_old = problem.kind is CommonProblem.FRESH_LOGIN_REQUIRED
            back = _address(absolute=bool(login_at), is_old=is_old)
            return to_login(login_page(login_at), back, is_old=is_old)
        text = _TEXTS.get(problem.kind, f"{problem.kind.text}.")
        if isinstance(error, RedisUnavailable) and not isinstance(error, RedisPoolExhausted):
            text = _outage(error)
        response = _page(show, problem.status, text, details=problem.details)
        for name in problem.headers.keys() & {"Retry-After"}:
            response.headers[name] = problem.headers[name]
        return response

    return respond


def login_page(login_at: str) -> str:
    """The address of the page to log in: at that origin, or of this service."""
    return f"{login_at}/console/login" if login_at else own_path("/console/login")


def _address(*, absolute: bool, is_old: bool) -> str:
    """This page; after an act with a login that is too old the page that had its form."""
    path = own_path(request.full_path.rstrip("?"))
    if request.method != "GET":
        page = "/".join(request.path.split("/")[:3])
        page = "/console" if page == "/console/logout" else page
        path = (read_back() if is_old else "") or own_path(page)
    return f"{request.host_url.rstrip('/')}{path}" if absolute else path


def _outage(error: Exception) -> str:
    """Which database did not answer. The sessions did, if the admin's has been read."""
    state = current_state()
    clients = {"sessions": state.sessions.client, "caches": state.cache.client}
    states = {name: each.breaker.status(each.name).state for name, each in clients.items()}
    if "session" not in g or states["sessions"] != "ok":
        return _SESSIONS
    if states["caches"] != "ok":
        return f"The Redis database of caches is {states['caches']}. {_DOCTOR}"
    return f"{_sentence(error)} {_DOCTOR}"


def _page(show: Show, status: int, text: str, **context: Any) -> Response:
    return show("error.html", status, text=text, error_status=status, **context)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
