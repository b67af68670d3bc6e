"""`Idempotency-Key`: clients can repeat a request safely, and it takes effect once.

Follows draft-ietf-httpapi-idempotency-key-header-07. docs/adr/0021-idempotency-keys-in-sql.md gives
the reasons for each status.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, overload

from flask import Response, current_app, g, request
from sqlalchemy.exc import SQLAlchemyError

from ..db import Database, IdempotencyKey, Keep, Transaction
from ..db.idempotency import (
    NO_KEY,
    IdempotencyKeys,
    KeptResponse,
    KeyedRequest,
    KeyInFlight,
    KeyReused,
    KeyTaken,
)
from .declarations import Route, declare, operation_of
from .keyed_requests import HEADER, digest_of, key_of, keyed_request, owner_id
from .keys_in_flight import KeysInFlight
from .metrics import Metrics
from .problem_types import CommonProblem
from .problems import Detail, Problem
from .requests import Schema

logger = logging.getLogger(__name__)

REPLAYED = "Idempotency-Replayed"
REPLAYED_TOO = "Idempotent-Replayed"  # as Stripe calls it
REPLAYED_HEADERS = frozenset({"Location"})

SameSecrets = Callable[[Any, int], bool]
"""Whether the secrets of a body are those with which it created what belongs to the user."""

_KEYED = "pyportal.idempotency"  # key in the environ, until `request_key` takes it
# The request had no effect, and the client may correct or repeat it.
_NOT_KEPT = frozenset({400, 401, 408, 413, 415, 422, 425, 429})


@overload
def idempotent(view: Route) -> Route: ...


@overload
def idempotent(*, same_secrets: SameSecrets) -> Callable[[Route], Route]: ...


def idempotent(
    view: Route | None = None, *, same_secrets: SameSecrets | None = None
) -> Route | Callable[[Route], Route]:
    """Accept the header `Idempotency-Key` on a route that creates something; below `@body`.

    The first request with a key is processed, and its response is kept for 24 hours. A repetition
    gets that response, with `Idempotency-Replayed: true`; it waits while the first is in progress,
    and is a 409 with Retry-After after two seconds; a different request with the key is a 422.
    Requests without the header are not affected. The service claims `request_key()` in the
    transaction of the effect.

    Fields of the body that are a `SecretStr` are not part of what is compared. A route with such
    fields compares them itself, by `same_secrets`.

    For requests of other services this does nothing: see `idempotency_key`.
    """

    def decorate(view: Route) -> Route:
        if operation_of(view).body is not None:
            raise TypeError("@idempotent must be below @body, to compare what the body says")

        @wraps(view)
        def process_once(*args: Any, **kwargs: Any) -> Any:
            if HEADER not in request.headers:
                return view(*args, **kwargs)
            key = request.headers[HEADER]
            if g.get("service") is not None:
                key_of(key)  # a 400 if it is malformed
                return view(*args, **kwargs)
            body = kwargs.get("body")
            return respond_once(key, body, lambda: view(*args, **kwargs), same_secrets)

        # The view with its parameters.
        compares = same_secrets is not None
        return declare(process_once, idempotent=True, compares_secrets=compares)  # type: ignore[return-value]

    return decorate if view is None else decorate(view)


def respond_once(
    key: str,
    body: Schema | None,
    view: Callable[[], Response],
    same_secrets: SameSecrets | None = None,
    *,
    keeps_errors: bool = True,
) -> Response:
    """What `idempotent` does, for a form that has its key in a field. Raises Problem.

    Unless it `keeps_errors`, a request that had no effect is processed again.
    """
    idempotency = current_app.extensions["idempotency"]
    process = _KeyedRoute(idempotency, same_secrets, keeps_errors=keeps_errors)
    return process.respond(keyed_request(key_of(key), body), body, view)


def idempotency_key() -> str | None:
    """A digest of the request's key, 64 hex digits; None without the header.

    For requests of other services, whose workers repeat them for weeks: they store it in the row
    that they create, under a unique constraint.
    """
    header = request.headers.get(HEADER)
    return None if header is None else digest_of(key_of(header))


def accepts_key(description: str) -> Callable[[Route], Route]:
    """Describe the header of a route for services, which calls `idempotency_key`."""
    return lambda view: declare(view, key_text=description)


def idempotency_key_reused() -> Problem:
    """422: the key was already sent with a different request."""
    message = "Already used for a different request: use a new key"
    return Problem(CommonProblem.IDEMPOTENCY_KEY_REUSED, [Detail(HEADER, message)])


def request_key(respond: Callable[[Any], Response]) -> IdempotencyKey:
    """The key of the current request, for the transaction of its effect.

    `respond` makes the response from the result that the service keeps. The route returns the same.
    """
    keyed: KeyedRequest | None = request.environ.pop(_KEYED, None)
    if keyed is None:
        return NO_KEY
    idempotency: Idempotency = current_app.extensions["idempotency"]
    return _RequestKey(idempotency.keys, keyed, respond)


class Idempotency:
    """The keys of an app's requests."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self.keys = IdempotencyKeys(database)
        self.in_flight = KeysInFlight()
        self._metrics = metrics

    def count(self, outcome: str) -> None:
        """Count a request with a key."""
        self._metrics.idempotency_keys.labels(outcome).inc()


class _KeyedRoute:
    """Responds to a request with a key: by processing it, or by replaying a response."""

    def __init__(
        self, idempotency: Idempotency, same_secrets: SameSecrets | None, *, keeps_errors: bool
    ) -> None:
        self._idempotency = idempotency
        self._keys = idempotency.keys
        self._same_secrets = same_secrets
        self._keeps_errors = keeps_errors

    def respond(
        self, keyed: KeyedRequest, body: Schema | None, view: Callable[[], Any]
    ) -> Response:
        """The response. Raises Problem."""
        try:
            with self._idempotency.in_flight.hold(keyed):
                found = self._keys.find(keyed) or self._process(keyed, view)
                if isinstance(found, KeptResponse):
                    # Held, because every password that is being compared counts as a failed login.
                    return self._replay(found, body)
        except KeyInFlight:
            self._idempotency.count("in_flight")
            raise _in_flight() from None
        except KeyReused:
            self._idempotency.count("reused")
            raise idempotency_key_reused() from None
        self._idempotency.count("processed")
        return found

    def _process(self, keyed: KeyedRequest, view: Callable[[], Any]) -> Response | KeptResponse:
        request.environ[_KEYED] = keyed
        try:
            response = current_app.make_response(view())
        except KeyTaken:
            return self._find_taken(keyed)
        except KeyInFlight:
            raise
        except Exception as error:  # noqa: BLE001  the app has a handler for each
            response = current_app.make_response(current_app.handle_user_exception(error))
        is_unused = request.environ.pop(_KEYED, None) is not None
        if response.status_code >= 400:
            return self._keep_error(keyed, response)
        if is_unused:
            raise RuntimeError(f"{request.endpoint} is @idempotent, but claims no request_key()")
        return response

    def _keep_error(self, keyed: KeyedRequest, error: Response) -> Response | KeptResponse:
        """Keep an error if it is final, unless another request with the key has succeeded."""
        is_final = error.status_code < 500 and error.status_code not in _NOT_KEPT
        if not (is_final and self._keeps_errors):
            return error
        try:
            self._keys.keep(keyed, _kept(error, owner_id()))
        except KeyTaken:
            return self._find_taken(keyed)
        except SQLAlchemyError as failure:
            logger.warning("Not keeping a response: %s", failure)
        return error

    def _find_taken(self, keyed: KeyedRequest) -> KeptResponse:
        found = self._keys.find(keyed)
        if found is None:  # it was deleted in this moment
            raise KeyInFlight
        return found

    def _replay(self, kept: KeptResponse, body: Schema | None) -> Response:
        if not self._has_same_secrets(kept, body):
            raise KeyReused
        self._idempotency.count("replayed")
        response = Response(kept.body, kept.status, content_type=kept.content_type)
        response.headers[REPLAYED] = response.headers[REPLAYED_TOO] = "true"
        if kept.location is not None:
            response.headers["Location"] = kept.location
        return response

    def _has_same_secrets(self, kept: KeptResponse, body: Schema | None) -> bool:
        """Whether the secrets are those of the first request. An error says nothing of them."""
        if self._same_secrets is None or kept.status >= 400 or kept.user_id is None:
            return True
        return self._same_secrets(body, kept.user_id)


class _RequestKey(IdempotencyKey):
    """The key of a request, with the response to keep."""

    def __init__(
        self, keys: IdempotencyKeys, keyed: KeyedRequest, respond: Callable[[Any], Response]
    ) -> None:
        self._keys = keys
        self._keyed = keyed
        self._respond = respond

    @contextmanager
    def claim(self, tx: Transaction) -> Iterator[Keep]:
        """See IdempotencyKey."""
        with self._keys.claim(tx, self._keyed) as keep:

            def keep_result(result: Any, user_id: int | None = None) -> None:
                keep(_kept(self._respond(result), user_id or owner_id()))

            yield keep_result


def _kept(response: Response, user_id: int | None) -> KeptResponse:
    return KeptResponse(
        response.status_code,
        response.content_type,
        response.headers.get("Location"),
        response.get_data(as_text=True),
        user_id,
    )


def _in_flight() -> Problem:
    return Problem(
        CommonProblem.REQUEST_IN_PROGRESS,
        [Detail(HEADER, "Belongs to a request that is in progress")],
        headers={"Retry-After": "1"},
    )
