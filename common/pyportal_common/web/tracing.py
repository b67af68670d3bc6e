"""Request ids and the access log."""

import logging
import os
import re
import time
from urllib.parse import quote

from flask import Flask, Response, g, request

from ..logging import request_id

logger = logging.getLogger(__name__)

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = {"/livez", "/readyz", "/health", "/metrics"}  # polled: logged only at DEBUG


def register_tracing(app: Flask) -> None:
    """Give every request an id, which is the client's X-Request-ID if that is valid; log it."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        request_id.set(given if _ACCEPTED.fullmatch(given) else os.urandom(16).hex())
        g.began = time.monotonic()

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        request_id.set("-")  # what the thread logs next belongs to no request

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = request_id.get()
        level = logging.DEBUG if request.path in _QUIET else logging.INFO
        if logger.isEnabledFor(level):
            took_ms = (time.monotonic() - g.began) * 1000 if "began" in g else 0.0
            path, status = quote(request.path), response.status_code
            logger.log(level, "%s %s -> %d in %.1f ms", request.method, path, status, took_ms)
        return response
