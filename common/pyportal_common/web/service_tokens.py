"""Services that call each other: each says by a token who it is."""

import hmac
from collections.abc import Mapping

from flask import current_app, g, request

from ..jobs.outbox import SERVICE_TOKEN_HEADER
from .problems import Problem

_EXTENSION = "service_tokens"
_HOW = {"WWW-Authenticate": "Bearer"}


def tokens_of(text: str) -> Mapping[str, str]:
    """The service of each token in SERVICE_TOKENS."""
    pairs = (pair.partition(":") for pair in text.split(",") if pair)
    return {token.strip(): name.strip() for name, _, token in pairs}


def service_of_request() -> str | None:
    """The service that the request comes from by its token; None for one without the header.

    Raises Problem for a token that is none. All tokens are compared, each in constant time.
    """
    presented = request.headers.get(SERVICE_TOKEN_HEADER)
    if presented is None:
        return None
    tokens: Mapping[str, str] = current_app.extensions[_EXTENSION]
    found = None
    for token, service in tokens.items():
        if hmac.compare_digest(token.encode(), presented.encode("utf-8", "replace")):
            found = service
    if found is None:
        raise Problem(401, "The service token is not valid", headers=_HOW)
    return found


def current_service() -> str | None:
    """The service that the request comes from; None for a user's."""
    service: str | None = g.get("service")
    return service
