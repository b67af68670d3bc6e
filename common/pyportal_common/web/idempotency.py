"""`Idempotency-Key`: a client that got no answer may send its request again, to no second effect.

After draft-ietf-httpapi-idempotency-key-header-07. Why what is answered how stands in
docs/adr/0011-idempotency-keys.md.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from typing import overload

from flask import Flask, Response, current_app, g, request

from ..cache_handlers import (
    Begun,
    IdempotencyStore,
    InFlight,
    Mismatch,
    Reply,
    Session,
    fingerprint_of,
)
from .declarations import Operation, Route, declare, operation_of
from .problems import Detail, Problem
from .requests import read_body

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
GIVEN_AGAIN = frozenset({"Location"})  # of the headers that a route declares

# Plain, as most clients send it, or as the draft has it: a string of RFC 8941. A plain key has no
# comma, because what stands in two headers arrives as one with a comma in it.
KEY_PATTERN = r'^(?:[!#-+\x2d-~]{1,255}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$'

_BEGUN = "pyportal.idempotency"  # in the environ of the request that has to end it
_KEY = re.compile(KEY_PATTERN)
_LONGEST_BODY = 64 * 1024  # bytes of an answer that is kept
# These say of the request that it could not be taken, now or as it is. It had no effect: the
# same request may be sent again, and a better one too.
_NOT_KEPT = frozenset({400, 401, 408, 413, 415, 422, 425, 429})


@overload
def idempotent(view: Route) -> Route: ...


@overload
def idempotent(*, secret: bool) -> Callable[[Route], Route]: ...


def idempotent(
    view: Route | None = None, *, secret: bool = True
) -> Route | Callable[[Route], Route]:
    """Let a route that creates something take the header `Idempotency-Key`.

    The first request with a key is processed, and its answer kept for 24 hours. The same request
    again gets that answer, with `Idempotency-Replayed: true`; while the first is in flight, 409
    with Retry-After; another request with the key, 422; and without Redis, 503. Without the header
    nothing changes. The route takes its body by `@body`. A constraint in SQL has to refuse what
    would happen a second time: Redis alone cannot, as IdempotencyStore says. `idempotency_key` is
    for such a constraint.

    The key of another service is left to that constraint alone, by `idempotency_key`: it is sent
    again by a worker, which must not wait for the end of a request that died.

    A body is taken for one with a secret in it, which costs 40 ms: `@idempotent(secret=False)`
    where there is none.
    """
    kind = "secret" if secret else "plain"
    if view is not None:
        return declare(view, idempotent=kind)
    return lambda view: declare(view, idempotent=kind)


def idempotency_key() -> str | None:
    """A digest of the key that came with the request: 64 hex digits, the same for the same key."""
    header = request.headers.get(HEADER)
    return None if header is None else hashlib.sha256(_key_of(header).encode()).hexdigest()


def used_twice() -> Problem:
    """422: the key came with another request before."""
    message = "was used for another request: take a new one"
    return Problem(422, "Idempotency key used twice", [Detail(HEADER, message)])


def register_idempotency(app: Flask, store: IdempotencyStore) -> None:
    """Hold the routes of `app` to what they declare: two round trips for the request that is
    processed, one for each that is sent again.
    """

    @app.before_request
    def begin() -> Response | None:
        operation = operation_of(current_app.view_functions.get(request.endpoint or ""))
        if not operation.idempotent or HEADER not in request.headers or request.method == "OPTIONS":
            return None
        key = _key_of(request.headers[HEADER])
        if g.get("service") is not None:
            return None
        found = store.begin(_scope(), key, _fingerprint(key, operation))
        if isinstance(found, Begun):
            request.environ[_BEGUN] = found
            return None
        return _answer_to_repeat(found)

    @app.after_request
    def end(response: Response) -> Response:
        begun: Begun | None = request.environ.pop(_BEGUN, None)
        if begun is not None:
            _end(store, begun, response)
        return response


def _key_of(header: str) -> str:
    """The key, without the quotes of a string. Raises Problem for what is none."""
    if not _KEY.fullmatch(header):
        message = "must be given once, as 1 to 255 visible ASCII characters without comma or quote"
        raise Problem(400, "Malformed header", [Detail(HEADER, message)])
    return re.sub(r"\\(.)", r"\1", header[1:-1]) if header.startswith('"') else header


def _scope() -> str:
    """The route and who asks. Of those who need not say who they are, all are one."""
    session: Session | None = g.get("session")
    return f"{request.endpoint}/{'anyone' if session is None else f'user={session.user_id}'}"


def _fingerprint(key: str, operation: Operation) -> str:
    """Of the body as it was sent: what is sent again is sent from the same bytes."""
    body = read_body(operation.max_bytes)
    path = request.path.encode("utf-8", "surrogatepass")
    parts = (request.method.encode(), path, request.query_string, body)
    return fingerprint_of(key, *parts, secret=operation.idempotent == "secret")


def _answer_to_repeat(found: InFlight | Mismatch | Reply) -> Response:
    if isinstance(found, InFlight):
        raise Problem(
            409,
            "The request is still being processed, try again",
            [Detail(HEADER, "is of a request that has no answer yet")],
            headers={"Retry-After": str(found.retry_after)},
        )
    if isinstance(found, Mismatch):
        raise used_twice()
    headers = {REPLAYED: "true", "Content-Type": found.content_type}
    if found.location:
        headers["Location"] = found.location
    return Response(found.body, found.status, headers)


def _end(store: IdempotencyStore, begun: Begun, response: Response) -> None:
    reply = _reply(response)
    if reply is None:
        store.abandon(begun)
    elif not store.finish(begun, reply):
        logger.warning("An answer came too late to be kept in Redis, or Redis is away")


def _reply(response: Response) -> Reply | None:
    """What is kept of an answer; None for one that is not final, or too large."""
    if response.status_code >= 500 or response.status_code in _NOT_KEPT:
        return None
    raw = response.get_data()
    if len(raw) > _LONGEST_BODY:
        logger.warning("An answer of %s is too large to be kept", request.endpoint)
        return None
    content_type = response.headers.get("Content-Type", "")
    location = response.headers.get("Location", "")
    return Reply(response.status_code, content_type, location, raw.decode("utf-8"))
