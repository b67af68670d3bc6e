"""Request ids, the spans of requests, and the access log."""

import logging
import random
import re
from urllib.parse import quote

from flask import Request, Response

from .. import spans
from ..logging import request_id
from .auth import service_of_request
from .problems import Problem

logger = logging.getLogger(__name__)

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = {"/livez", "/readyz", "/health", "/metrics"}  # polled: logged only at DEBUG, no spans
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # clients invent others
_SPAN = "pyportal.span"  # in the environ


def identify_request(request: Request) -> None:
    """Give the request an id, which is the client's X-Request-ID if that is valid."""
    given: str = request.environ.get("HTTP_X_REQUEST_ID", "")
    request_id.set(given if _ACCEPTED.fullmatch(given) else _new_id())


def _new_id() -> str:
    # No secret: the system's random numbers take a call of the kernel. A forked worker has others.
    return f"{random.getrandbits(128):032x}"


def begin_span(request: Request, *, joins_clients: bool) -> None:
    """Begin the span of a request, in the trace of the service that sent it.

    One of a client is in a new trace, which links to the client's: a stranger decides neither what
    is sampled nor how large a trace becomes. If it `joins_clients` it is in their traces as well.
    """
    if not spans.are_reported() or request.path in _QUIET:
        return
    given = request.environ.get("HTTP_TRACEPARENT")
    joins = given is not None and (joins_clients or _is_of_service(request))
    span = spans.entry(*_described(request), kind="server", cause=given, joins=joins)
    request.environ[_SPAN] = span.__enter__()


def _described(request: Request) -> tuple[str, dict[str, str | int]]:
    """The name of a span, and its attributes. Paths and headers may have personal data."""
    method = request.method if request.method in _METHODS else "_OTHER"
    name = {"_OTHER": "HTTP"}.get(method, method)
    if request.url_rule is None:
        return name, {"http.request.method": method}
    route = request.url_rule.rule
    return f"{name} {route}", {"http.request.method": method, "http.route": route}


def _is_of_service(request: Request) -> bool:
    try:
        return service_of_request(request) is not None
    except Problem:  # which admission reports
        return False


def describe_span(request: Request, response: Response) -> None:
    """Say in the span of a request what was responded."""
    span: spans.Span | None = request.environ.get(_SPAN)
    if span is None:
        return
    span.set("http.response.status_code", response.status_code)
    if response.status_code >= 500:
        span.fail()


def end_span(request: Request) -> None:
    """End the span of a request."""
    span: spans.Span | None = request.environ.pop(_SPAN, None)
    if span is not None:
        span.__exit__(None, None, None)


def trace_response(request: Request, response: Response, seconds: float) -> None:
    """Send the request's id with the response, and log what was served."""
    response.headers.add("X-Request-ID", request_id.get())
    path = request.path
    level = logging.DEBUG if path in _QUIET else logging.INFO
    if logger.isEnabledFor(level):
        method, status = request.method, response.status_code
        logger.log(level, "%s %s -> %d in %.1f ms", method, quote(path), status, seconds * 1000)
