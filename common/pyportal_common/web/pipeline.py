"""What happens before and after the route of every request, in one order."""

import time

from flask import Flask, Response, request

from ..logging import request_id
from .admission import RouteGuard
from .limits import add_limit_headers
from .metrics import Metrics
from .requests import refuse_invalid
from .responses import forbid_storing
from .tracing import identify_request, trace_response

_BEGAN = "pyportal.began"  # in the environ, because nested requests share `g`


def register_pipeline(app: Flask, metrics: Metrics, guard: RouteGuard) -> None:
    """Identify, count, admit and check every request of `app`; then complete its response.

    One hook before and one after: Flask takes longer to call a hook than most of these steps take.
    A step that raises ends the first hook, and its error response takes the second one as well.
    """

    @app.before_request
    def before() -> None:
        request.environ[_BEGAN] = time.perf_counter()
        identify_request()
        metrics.in_progress.inc()
        guard.admit()
        refuse_invalid()

    @app.after_request
    def after(response: Response) -> Response:
        forbid_storing(response)
        add_limit_headers(response)
        seconds = time.perf_counter() - request.environ[_BEGAN]
        metrics.served(request, response, seconds)
        trace_response(response, seconds)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if request.environ.pop(_BEGAN, None) is not None:
            metrics.in_progress.dec()
        guard.forget()
        request_id.set("-")  # what the thread logs next belongs to no request
