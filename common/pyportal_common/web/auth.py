"""Who is asking: a session by cookie or by bearer token, required by a decorator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from flask import Response, current_app, g, request

from ..cache_handlers import Session
from .declarations import SAFE_METHODS, Requirement, Route, declare
from .problems import Problem

# Browsers keep a cookie of this name only from HTTPS (or localhost), for this host and all paths.
COOKIE = "__Host-session"

_LONGEST_ID = 200  # characters


@dataclass(frozen=True, slots=True)
class _Credential:
    session_id: str
    by_cookie: bool


def login_required(
    role: str | None = None, *, fresh_within: float | None = None, or_service: bool = False
) -> Callable[[Route], Route]:
    """Let only users with a session through: 401 without one, 503 while Redis is unavailable.

    With `role`, 403 for users of another. With `fresh_within`, 403 when the user has not proved
    who they are for that many seconds. The route finds the session by `current_session()`.

    With `or_service` also another service that shows its token: then there is no session, and
    `current_service()` is its name.
    """
    services: Literal["too"] | None = "too" if or_service else None
    return lambda view: declare(view, requirement=Requirement(role, fresh_within, services))


def service_required(view: Route) -> Route:
    """Let only other services through, which `current_service()` names: 401 without a token."""
    return declare(view, requirement=Requirement(services="only"))


def required_credential() -> str:
    """The session id of the request. Raises Problem for none, for two, and for a forged write."""
    credential = _presented()
    if credential is None:
        raise unauthorized("Log in first")
    if credential.by_cookie:
        refuse_foreign_origin()
    return credential.session_id


def current_session() -> Session:
    """The session of a request to a route with `login_required`."""
    session: Session = g.session
    return session


def current_user_id() -> int:
    """The id of the user who asks. 403 for a session that somebody made for no user of ours."""
    user_id = current_session().user_id
    if not isinstance(user_id, int):
        raise Problem(403, "The current session is of no user here")
    return user_id


def presented_session_id() -> str | None:
    """The session id that came with the request, valid or not. Raises Problem for two of them."""
    credential = _presented()
    return credential.session_id if credential else None


def unauthorized(error: str) -> Problem:
    """401, saying how to authenticate."""
    return Problem(401, error, headers={"WWW-Authenticate": "Bearer"})


def set_session_cookie(response: Response, session: Session) -> None:
    """Give a browser the session, until its absolute end."""
    response.set_cookie(
        COOKIE,
        session.session_id,
        max_age=session.expires_at - datetime.now(UTC),
        secure=True,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def clear_session_cookie(response: Response) -> None:
    """Make a browser forget the session."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Lax", path="/")


def refuse_foreign_origin() -> None:
    """403 for a write that another site made a browser send along with the cookie.

    By Sec-Fetch-Site, else by Origin against our own. A request with neither is no browser's.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and not _is_ours(origin)
    if foreign:
        raise Problem(403, "This came from another site")


def _is_ours(origin: str) -> bool:
    # As text: what a browser sends is scheme, host and port, and no parser has to understand it.
    return origin.lower() in {current_app.config["PUBLIC_URL"], request.host_url.rstrip("/")}


def _presented() -> _Credential | None:
    by_cookie = request.cookies.get(COOKIE)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    by_token = token.strip() if scheme.lower() == "bearer" else None
    if by_cookie and by_token and by_cookie != by_token:
        raise Problem(400, "The cookie and the bearer token are of two sessions: send one")
    session_id = by_token or by_cookie
    if not session_id or len(session_id) > _LONGEST_ID:
        return None
    return _Credential(session_id, by_cookie=not by_token)


def check(requirement: Requirement, session: Session) -> None:
    """403 where the session is not what a route requires."""
    if requirement.role is not None and session.user_data.get("role") != requirement.role:
        raise Problem(403, "You may not do this")
    if requirement.fresh_within is not None:
        age = (datetime.now(UTC) - session.auth_at).total_seconds()
        if age > requirement.fresh_within:
            raise Problem(403, "Log in again: this needs a fresh login")
