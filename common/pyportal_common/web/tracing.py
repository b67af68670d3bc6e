"""Request ids and the access log."""

import logging
import random
import re
from urllib.parse import quote

from flask import Request, Response

from ..logging import request_id

logger = logging.getLogger(__name__)

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = {"/livez", "/readyz", "/health", "/metrics"}  # polled: logged only at DEBUG


def identify_request(request: Request) -> None:
    """Give the request an id, which is the client's X-Request-ID if that is valid."""
    given: str = request.environ.get("HTTP_X_REQUEST_ID", "")
    request_id.set(given if _ACCEPTED.fullmatch(given) else _new_id())


def _new_id() -> str:
    # No secret: the system's random numbers take a call of the kernel. A forked worker has others.
    return f"{random.getrandbits(128):032x}"


def trace_response(request: Request, response: Response, seconds: float) -> None:
    """Send the request's id with the response, and log what was served."""
    response.headers.add("X-Request-ID", request_id.get())
    path = request.path
    level = logging.DEBUG if path in _QUIET else logging.INFO
    if logger.isEnabledFor(level):
        method, status = request.method, response.status_code
        logger.log(level, "%s %s -> %d in %.1f ms", method, quote(path), status, seconds * 1000)
