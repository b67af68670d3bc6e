"""`Idempotency-Key`: clients can repeat a request safely, and it takes effect once.

Follows draft-ietf-httpapi-idempotency-key-header-07. docs/adr/0011-idempotency-keys.md gives the
reasons for each status.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from typing import overload

from flask import Flask, Response, g, request

from ..cache_handlers import (
    Begun,
    IdempotencyStore,
    InFlight,
    Mismatch,
    Reply,
    Session,
    fingerprint_of,
)
from .declarations import Operation, Route, current_operation, declare
from .problems import Detail, Problem
from .requests import read_body

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
REPLAYED_HEADERS = frozenset({"Location"})

# A plain value, as most clients send it, or an RFC 8941 string, as in the draft. A plain key has no
# comma, because two headers arrive as one value with a comma.
KEY_PATTERN = r'^(?:[!#-+\x2d-~]{1,255}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$'

_BEGUN = "pyportal.idempotency"  # key in the environ of the request that holds the lease
_KEY = re.compile(KEY_PATTERN)
_MAX_KEPT_BYTES = 64 * 1024
# The request had no effect, and the client may correct or repeat it.
_NOT_KEPT = frozenset({400, 401, 408, 413, 415, 422, 425, 429})


@overload
def idempotent(view: Route) -> Route: ...


@overload
def idempotent(*, secret: bool) -> Callable[[Route], Route]: ...


def idempotent(
    view: Route | None = None, *, secret: bool = True
) -> Route | Callable[[Route], Route]:
    """Accept the header `Idempotency-Key` on a route that creates something.

    The first request with a key is processed, and its response is kept for 24 hours. A repetition
    gets that response, with `Idempotency-Replayed: true`; 409 with Retry-After while the first is
    in progress; 422 for a different request with the key; 503 without Redis. Requests without the
    header are not affected. The route takes its body by `@body`. A SQL constraint on
    `idempotency_key()` has to refuse a second effect: Redis alone cannot, as IdempotencyStore
    explains.

    For requests of other services the constraint alone decides: their workers repeat a request,
    and must not wait for one that died.

    Bodies may contain a secret, which costs 40 ms to fingerprint safely. Use
    `@idempotent(secret=False)` for a route whose bodies contain none.
    """
    kind = "secret" if secret else "plain"
    if view is not None:
        return declare(view, idempotent=kind)
    return lambda view: declare(view, idempotent=kind)


def idempotency_key() -> str | None:
    """A digest of the request's key, 64 hex digits; None without the header."""
    header = request.headers.get(HEADER)
    return None if header is None else hashlib.sha256(_key_of(header).encode()).hexdigest()


def idempotency_key_reused() -> Problem:
    """422: the key was already sent with a different request."""
    message = "Already used for a different request: use a new key"
    return Problem(422, "Idempotency key reused", [Detail(HEADER, message)])


def register_idempotency(app: Flask, store: IdempotencyStore) -> None:
    """Enforce `@idempotent` on the routes of `app`.

    A request that is processed takes two round trips, a repetition one.
    """

    @app.before_request
    def begin() -> Response | None:
        operation = current_operation()
        if not operation.idempotent or HEADER not in request.headers or request.method == "OPTIONS":
            return None
        key = _key_of(request.headers[HEADER])
        if g.get("service") is not None:
            return None
        found = store.begin(_scope(), key, _fingerprint(key, operation))
        if isinstance(found, Begun):
            request.environ[_BEGUN] = found
            return None
        return _response_to_repetition(found)

    @app.after_request
    def end(response: Response) -> Response:
        begun: Begun | None = request.environ.pop(_BEGUN, None)
        if begun is None:
            return response
        reply = _reply(response)
        if reply is None:
            store.abandon(begun)
        elif not store.finish(begun, reply):
            logger.warning("Not keeping a response: it came too late, or Redis is unavailable")
        return response


def _key_of(header: str) -> str:
    """The key, without the quotes of a string. 400 if the header is malformed."""
    if not _KEY.fullmatch(header):
        message = "Must be given once, as 1 to 255 visible ASCII characters without comma or quote"
        raise Problem(400, "Malformed header", [Detail(HEADER, message)])
    return re.sub(r"\\(.)", r"\1", header[1:-1]) if header.startswith('"') else header


def _scope() -> str:
    """The route and the user that a key belongs to. Anonymous clients share one scope."""
    session: Session | None = g.get("session")
    return f"{request.endpoint}/{'anyone' if session is None else f'user={session.user_id}'}"


def _fingerprint(key: str, operation: Operation) -> str:
    """The fingerprint of the request. A repetition has the same body, byte by byte."""
    body = read_body(operation.max_bytes)
    path = request.path.encode("utf-8", "surrogatepass")
    parts = (request.method.encode(), path, request.query_string, body)
    return fingerprint_of(key, *parts, secret=operation.idempotent == "secret")


def _response_to_repetition(found: InFlight | Mismatch | Reply) -> Response:
    if isinstance(found, InFlight):
        raise Problem(
            409,
            "The request is still being processed, try again",
            [Detail(HEADER, "Belongs to a request that is in progress")],
            headers={"Retry-After": str(found.retry_after)},
        )
    if isinstance(found, Mismatch):
        raise idempotency_key_reused()
    headers = {REPLAYED: "true", "Content-Type": found.content_type}
    if found.location:
        headers["Location"] = found.location
    return Response(found.body, found.status, headers)


def _reply(response: Response) -> Reply | None:
    """The part of a response to keep; None if it is not final, or too large."""
    if response.status_code >= 500 or response.status_code in _NOT_KEPT:
        return None
    raw = response.get_data()
    if len(raw) > _MAX_KEPT_BYTES:
        logger.warning("Not keeping a response of %s: it is too large", request.endpoint)
        return None
    content_type = response.headers.get("Content-Type", "")
    location = response.headers.get("Location", "")
    return Reply(response.status_code, content_type, location, raw.decode("utf-8"))
