"""What happens before and after the route of every request, in one order."""

import time

from flask import Flask, Response
from flask.globals import request_ctx

from ..extension.charging import add_limit_headers
from ..logging import request_id
from ..spans import span
from .admission import RouteGuard
from .cors import Cors
from .declarations import operation_of_request
from .metrics import Metrics
from .requests import refuse_invalid
from .responses import forbid_storing
from .security_headers import SecurityHeaders
from .tracing import begin_span, describe_span, end_span, identify_request, trace_response

_BEGAN = "pyportal.began"  # in the environ, because nested requests share `g`


def register_pipeline(
    app: Flask, metrics: Metrics, guard: RouteGuard, cors: Cors, security: SecurityHeaders
) -> None:
    """Identify, count, admit and check every request of `app`; then complete its response.

    One hook before and one after: Flask takes longer to call a hook than most of these steps take.
    A step that raises or responds ends the first hook; its response takes the second one as well.
    The steps get the request itself: each access by the proxy `request` looks it up again.
    """

    max_bytes: int = app.config["MAX_BODY_BYTES"]
    joins_clients: bool = app.config["TRACE_CLIENTS"] == "join"

    @app.before_request
    def before() -> Response | None:
        request = request_ctx.request
        operation = operation_of_request(app, request)
        request.environ[_BEGAN] = time.perf_counter()
        identify_request(request)
        begin_span(request, joins_clients=joins_clients)
        metrics.in_progress.inc()
        answer = cors.preflight(request)
        if answer is not None:
            return answer
        with span("admission"):
            guard.admit(request, operation)
        refuse_invalid(request, operation, max_bytes)
        return None

    @app.after_request
    def after(response: Response) -> Response:
        request = request_ctx.request
        forbid_storing(response, operation_of_request(app, request))
        add_limit_headers(request, response, "x")
        cors.complete(request, response)
        security.complete(response)
        seconds = time.perf_counter() - request.environ[_BEGAN]
        metrics.served(request, response, seconds)
        describe_span(request, response)
        trace_response(request, response, seconds)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if request_ctx.request.environ.pop(_BEGAN, None) is not None:
            metrics.in_progress.dec()
        guard.forget()
        end_span(request_ctx.request)
        request_id.set("-")  # what the thread logs next belongs to no request
