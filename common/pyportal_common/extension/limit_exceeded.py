"""The 429 of a limit, and its body."""

from typing import Any

from flask import Response, json, request
from flask.globals import request_ctx
from werkzeug.exceptions import TooManyRequests

from ..cache_handlers import Decision
from .charging import remember
from .limit_headers import QUOTA_EXCEEDED, QUOTA_EXCEEDED_TITLE, policy_name

PROBLEM_JSON = "application/problem+json"

_MAX_ACCEPT_LENGTH = 1000


class LimitExceeded(TooManyRequests):
    """429: the request is over a limit. An error handler may respond in another way.

    The headers of the limit and Retry-After are added to whatever it responds.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__("Rate limit exceeded", response=_too_many(decision))
        self.decision = decision
        remember(request_ctx.request, decision)


def wants_problem_json() -> bool:
    """Whether the client prefers problem details, RFC 9457, to other JSON."""
    if len(request.headers.get("Accept", "")) > _MAX_ACCEPT_LENGTH:  # slow to parse
        return False
    accepted = request.accept_mimetypes
    return accepted.best_match(["application/json", PROBLEM_JSON]) == PROBLEM_JSON


def _too_many(decision: Decision) -> Response:
    body: dict[str, Any] = {
        "error": "Rate limit exceeded",
        "retry_after": decision.retry_after,
    }
    media_type = "application/json"
    if wants_problem_json():
        media_type = PROBLEM_JSON
        body = {
            "type": QUOTA_EXCEEDED,
            "title": QUOTA_EXCEEDED_TITLE,
            "status": 429,
            "detail": "Rate limit exceeded",
            "retry_after": decision.retry_after,
            "violated-policies": [policy_name(decision.rate_limit, decision.window)],
        }
    retry_after = {"Retry-After": str(decision.retry_after)}
    return Response(json.dumps(body) + "\n", 429, retry_after, mimetype=media_type)
