"""Authentication: a session by cookie or bearer token, or another service by its token."""

import hmac
from collections.abc import Callable, Mapping

from flask import Request, Response, current_app, g

from ..cache_handlers import Session, UserId
from ..db import Actor
from ..extension.state import current_state
from ..logging import request_id
from ..settings import SERVICE_TOKEN_HEADER
from .declarations import SAFE_METHODS, Requirement, Route, declare
from .problem_types import CommonProblem
from .problems import Problem

# Browsers keep a cookie of this name only from HTTPS (or localhost), for this host and all paths.
COOKIE = "__Host-session"

_MAX_ID_LENGTH = 200
_SERVICE_TOKEN = "HTTP_" + SERVICE_TOKEN_HEADER.upper().replace("-", "_")  # in the environ


def login_required(
    role: str | None = None, *, fresh_within: float | None = None, allow_services: bool = False
) -> Callable[[Route], Route]:
    """Require a session: 401 without one, 503 while Redis is unavailable.

    With `role`, 403 for users with another role. With `fresh_within`, 401 unless the user has
    authenticated within that many seconds: see `require_fresh_login`. The view reads the session by
    `current_session()`.

    `allow_services` also accepts another service that sends its token. Such a request has no
    session; `current_service()` is the service's name.
    """
    return lambda view: declare(view, requirement=Requirement(role, fresh_within, allow_services))


def services_only(view: Route) -> Route:
    """Require a service token: 401 without one. `current_service()` names the calling service."""
    return declare(view, requirement=Requirement(services_only=True))


def required_session_id(request: Request) -> str:
    """The session id of the request. Raises Problem without one and for a cross-site write."""
    session_id = presented_session_id(request)
    if session_id is None:
        raise Problem(CommonProblem.LOGIN_REQUIRED)
    if not _bearer_token(request):
        refuse_foreign_origin(request)
    return session_id


def current_session() -> Session:
    """The session of a request to a route with `login_required`."""
    session: Session = g.session
    return session


def user_of_request() -> UserId | None:
    """The user of the session; None for a request to a route without `login_required`."""
    session: Session | None = g.get("session")
    return session.user_id if session is not None else None


def current_user_id() -> int:
    """The id of the current user. 403 if the session's user id is not one of this portal."""
    user_id = current_session().user_id
    if not isinstance(user_id, int):
        raise Problem(CommonProblem.FOREIGN_SESSION)
    return user_id


def current_actor() -> Actor:
    """The current user in this request, for the audit log."""
    return Actor(f"user={current_user_id()}", request_id.get())


def presented_session_id(request: Request) -> str | None:
    """The session id sent with the request, valid or not. 400 for two different ones."""
    session_id = _bearer_token(request)
    if "HTTP_COOKIE" in request.environ:  # to parse no cookies takes as long as to parse one
        presented = {*request.cookies.getlist(COOKIE), session_id or ""} - {""}
        if len(presented) > 1:
            raise Problem(CommonProblem.DIFFERENT_SESSIONS)
        session_id = next(iter(presented), None)
    return session_id if session_id and len(session_id) <= _MAX_ID_LENGTH else None


def require_unended_session() -> None:
    """401 if the session of a request that has waited has ended meanwhile, 503 without Redis."""
    session: Session | None = g.get("session")
    if session is None:
        return
    if current_state().sessions.load(session.session_id, touch=False) is None:
        raise Problem(CommonProblem.SESSION_ENDED)


def set_session_cookie(response: Response, session: Session) -> None:
    """Set the cookie of a session that has just begun. It expires with its absolute lifetime."""
    response.set_cookie(
        COOKIE,
        session.session_id,
        max_age=session.expires_at - session.auth_at,
        secure=True,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def clear_session_cookie(response: Response) -> None:
    """Delete the session cookie."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Lax", path="/")


def refuse_foreign_origin(request: Request, *, is_strict: bool = False) -> None:
    """403 for a write that another origin made a browser send with the session cookie.

    PUBLIC_URL and CORS_ORIGINS are trusted, unless it `is_strict`. Else Sec-Fetch-Site decides, or
    Origin in browsers that do not send it. A request without either is not from a browser.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    # Compared as text: browsers send scheme, host and port, and nothing needs to be parsed.
    trusted = () if is_strict else current_app.config["TRUSTED_ORIGINS"]
    if origin is not None and origin.lower() in trusted:
        return
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and origin.lower() != request.host_url.rstrip("/")
    if foreign:
        raise Problem(CommonProblem.CROSS_SITE_REQUEST)


def _bearer_token(request: Request) -> str | None:
    given: str = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = given.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_requirement(requirement: Requirement, session: Session) -> None:
    """403 for another role, and 401 for a login that is not fresh enough."""
    if requirement.role is not None and session.user_data.get("role") != requirement.role:
        raise Problem(CommonProblem.NOT_ALLOWED)
    if requirement.fresh_within is not None:
        require_fresh_login(session, within=requirement.fresh_within)


def require_fresh_login(
    session: Session, *, within: float, with_second_factor: bool = False
) -> None:
    """401 unless the user has authenticated within that many seconds, by all the session's factors.

    `with_second_factor`, the session must have more than one. The challenge is that of RFC 9470,
    which clients answer by authenticating again.
    """
    has_factors = session.has_second_factor or not with_second_factor
    if has_factors and session.auth_age_seconds <= within:
        return
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{within:.0f}"'
    raise Problem(CommonProblem.FRESH_LOGIN_REQUIRED, headers={"WWW-Authenticate": challenge})


def service_of_request(request: Request) -> str | None:
    """The service that sent a request, by its token; None for a request without a token.

    401 for an unknown token. Every token is compared, each in constant time.
    """
    presented = request.environ.get(_SERVICE_TOKEN)
    if presented is None:
        return None
    tokens: Mapping[str, str] = current_app.extensions["service_tokens"]
    found = None
    for token, service in tokens.items():
        if hmac.compare_digest(token.encode(), presented.encode("utf-8", "replace")):
            found = service
    if found is None:
        raise Problem(CommonProblem.SERVICE_TOKEN_INVALID)
    return found


def current_service() -> str | None:
    """The service that sent the request; None for a user's request."""
    service: str | None = g.get("service")
    return service
