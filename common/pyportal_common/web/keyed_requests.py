"""Requests with the header `Idempotency-Key`: their keys, scopes and fingerprints."""

import hashlib
import hmac
import json
import re

from flask import g, request
from pydantic import BaseModel

from ..cache_handlers import Session
from ..db.idempotency import KeyedRequest
from .problem_types import CommonProblem
from .problems import Detail, Problem
from .requests import Schema

HEADER = "Idempotency-Key"

# A plain value, as most clients send it, or an RFC 8941 string, as in the draft. A plain key has no
# comma, because two headers arrive as one value with a comma.
KEY_PATTERN = r'^(?:[!#-+\x2d-~]{1,255}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$'

_KEY = re.compile(KEY_PATTERN)


def keyed_request(key: str, body: Schema | None) -> KeyedRequest:
    """The current request, as its key is stored."""
    session: Session | None = g.get("session")
    scope = f"{request.endpoint}/{'anyone' if session is None else f'user={session.user_id}'}"
    return KeyedRequest(scope, digest_of(key), _fingerprint(key, body))


def _fingerprint(key: str, body: Schema | None) -> str:
    """A digest that differs for different requests, and says nothing about their secrets.

    pydantic writes every secret as the same asterisks. The digest is keyed by the client's key,
    which is not stored, so that the rest of the body cannot be guessed from it either.
    """
    said = None if body is None else body.model_dump(mode="json", exclude_unset=True)
    query = request.query_string.decode("latin-1")
    parts = json.dumps([request.method, request.path, query, said], sort_keys=True)
    return hmac.digest(key.encode(), parts.encode(), "sha256").hex()


def has_secrets(model: type[BaseModel] | None) -> bool:
    """Whether a body has secrets, which are no part of a fingerprint."""
    return model is not None and '"writeOnly": true' in json.dumps(model.model_json_schema())


def digest_of(key: str) -> str:
    """What is stored of a key: 64 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_of(header: str) -> str:
    """The key, without the quotes of a string. 400 if the header is malformed."""
    if not _KEY.fullmatch(header):
        message = "Must be given once, as 1 to 255 visible ASCII characters without comma or quote"
        raise Problem(CommonProblem.MALFORMED_HEADER, [Detail(HEADER, message)])
    return re.sub(r"\\(.)", r"\1", header[1:-1]) if header.startswith('"') else header


def owner_id() -> int | None:
    """The id of the user who sends the current request, if it has a session."""
    session: Session | None = g.get("session")
    user_id = None if session is None else session.user_id
    return user_id if isinstance(user_id, int) else None
