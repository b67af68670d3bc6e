"""Charging requests, with their session in one round trip, and the headers of their responses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from flask import Request, Response

from ..cache_handlers import Charge, Decision, RedisUnavailable, UserId
from .callers import SESSION_USER, identifier_of_user
from .configuration import Dialect
from .limit_headers import limit_headers
from .session import PortalSession, logged_in
from .session_of_request import session_of
from .state import AppState

_DECIDED = "pyportal.decided"  # in the environ, because nested requests may share `g`


@dataclass(frozen=True, slots=True)
class _Decided:
    decision: Decision
    charges: Sequence[Charge]


def charge(state: AppState, request: Request, charges: Sequence[Charge]) -> Decision:
    """Charge a request: all charges, or none. One round trip, which also loads its session.

    Raises RedisUnavailable in an outage if the session's user is charged: a user is never treated
    as anonymous.
    """
    session = session_of(request)
    by_user = any(each.identifier == SESSION_USER for each in charges)
    if session is not None and by_user:
        session.accessed = True
    decided = None
    if session is not None and session.awaited_id is not None:
        decided = _with_session(state, session, session.awaited_id, charges, by_user=by_user)
    if decided is None:
        user_id = session.user_id if session is not None and by_user else None
        due = _due(charges, user_id)
        decided = _Decided(state.limiter.hit(*due), due)
    remember(request, decided.decision, decided.charges)
    return decided.decision


def remember(request: Request, decision: Decision, charges: Sequence[Charge] = ()) -> None:
    """Keep a decision for the headers of the response. They do not show shadow limits."""
    if decision.shadow:
        return
    decided: list[_Decided] = request.environ.setdefault(_DECIDED, [])
    if all(each.decision is not decision for each in decided):
        decided.append(_Decided(decision, charges))


def decision_of(request: Request) -> Decision | None:
    """The decision that refused the request, else the one that is closest to it. None if no limit
    has counted the request by now.
    """
    decided: list[_Decided] = request.environ.get(_DECIDED, [])
    decisions = (each.decision for each in decided)
    return min(decisions, key=lambda one: (one.allowed, one.remaining), default=None)


def add_limit_headers(request: Request, response: Response, dialect: Dialect) -> None:
    """Send the state of the limit that refused the request, else of the one that is closest."""
    closest = decision_of(request)
    if closest is None:
        return
    decided: list[_Decided] = request.environ[_DECIDED]
    limits = (charge.rate_limit for each in decided for charge in each.charges)
    policies = (limit for limit in limits if not limit.shadow)
    for name, value in limit_headers(closest, policies, dialect):
        response.headers[name] = value
    if not closest.allowed:
        response.headers.setdefault("Retry-After", str(closest.retry_after))


def _with_session(
    state: AppState,
    session: PortalSession,
    session_id: str,
    charges: Sequence[Charge],
    *,
    by_user: bool,
) -> _Decided | None:
    """None in an outage if the session is not needed for the charges."""
    due = partial(_due, charges)
    try:
        admitted = state.admission.admit(session_id, due if by_user else due(None))
    except RedisUnavailable:
        if by_user:
            raise
        return None
    session.receive(admitted.session)
    return None if admitted.decision is None else _Decided(admitted.decision, admitted.charges)


def _due(charges: Sequence[Charge], user_id: UserId | None) -> tuple[Charge, ...]:
    """The charges for the user of the session. Of two for one limit the stricter remains.

    One that is enforced is stricter than a shadow limit.
    """
    found: dict[tuple[str, str], Charge] = {}
    for each in charges:
        if each.identifier == SESSION_USER:
            each = replace(each, identifier=identifier_of_user(logged_in(user_id)))
        field = (each.identifier, each.rate_limit.field)
        found[field] = min(found.get(field, each), each, key=_strictness)
    return tuple(found.values())


def _strictness(charge: Charge) -> tuple[bool, int]:
    return charge.rate_limit.shadow, charge.rate_limit.limit
