"""What a rate limit counts by: whose requests share a limit."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from flask import request

from ..cache_handlers import UserId
from .addresses import client_network
from .session_of_request import portal_session
from .state import current_state

Identify = Callable[[], str | int | None]
"""The caller that a request counts for; None for one that it does not know."""

SESSION_USER = ""
"""The identifier that stands for the user of a session until the session is loaded."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Names callers, such as the users, and identifies that of the current request."""

    label: str
    identify: Identify

    def identifier(self) -> str:
        """The caller of the current request. One that is not known is counted by its address."""
        if self is _USER and _is_in_session():
            return SESSION_USER
        return _identifier(self.label, self.identify())


By = Literal["address", "user"] | Caller | Identify


def caller_of(by: By) -> Caller:
    """The callers that `by` names. Raises ValueError for another name."""
    if isinstance(by, Caller):
        return by
    if callable(by):
        return Caller(getattr(by, "__name__", type(by).__name__).strip("<>"), by)
    if by not in _NAMED:
        raise ValueError(
            f"by={by!r}: must be 'address', 'user', header(…), json_field(…) or a function"
        )
    return _NAMED[by]


def header(name: str) -> Caller:
    """Count by the value of a header, such as an API key. Redis gets its digest only."""
    return _header(name.lower())


@cache  # because two limits of a view by one header have one caller
def _header(name: str) -> Caller:
    return Caller(f"header-{name}", lambda: _digest(request.headers.get(name)))


def json_field(name: str) -> Caller:
    """Count by a field of the JSON body, a text or a whole number. Redis gets its digest only."""
    return _json_field(name)


@cache
def _json_field(name: str) -> Caller:
    def identify() -> str | None:
        try:
            body = request.get_json(silent=True)
        except RecursionError:  # nested too deeply
            return None
        value = body.get(name) if isinstance(body, dict) else None
        return _digest(str(value)) if isinstance(value, str | int) else None

    return Caller(f"field-{name}", identify)


def _digest(text: str | None) -> str | None:
    if not text:
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def identifier_of_user(user_id: UserId | None) -> str:
    """The identifier of a user; that of the address if there is none."""
    return _identifier(_USER.label, user_id)


def _identifier(label: str, caller: str | int | None) -> str:
    return f"address:{_address()}" if caller is None else f"{label}:{caller}"


def _address() -> str:
    return client_network(request.remote_addr)


def _user() -> UserId | None:
    user = current_state().user
    return user() if user is not None else portal_session().user_id


def _is_in_session() -> bool:
    """Whether the user is the one of a session that is not loaded yet."""
    if current_state().user is not None:
        return False
    return portal_session().awaited_id is not None


_USER = Caller("user", _user)
_NAMED = {"address": Caller("address", _address), "user": _USER}
