"""The service's HTTP side: parse, call, answer."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from common.pyportal_common.cache_handlers import Limiter, RateLimit, Session, SessionStore
from common.pyportal_common.db import Database
from common.pyportal_common.web import (
    Detail,
    Problem,
    body,
    clear_session_cookie,
    current_session,
    login_required,
    presented_session_id,
    problem_response,
    rate_limit,
    refuse,
    refuse_foreign_origin,
    set_session_cookie,
    unauthorized,
)

from . import logins, users
from .errors import InvalidCredentials, PasswordHashingBusy, TooManyFailures, UserAlreadyExists
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .schemas import Credentials, Registration

routes = Blueprint("users", __name__, url_prefix="/api/v1/airliner")


@dataclass(frozen=True)
class Collaborators:
    """What the routes work with; create_app makes it."""

    database: Database
    passwords: Passwords
    redis_helper: UserManagementRedisHelper
    sessions: SessionStore
    limiter: Limiter
    login_failures: RateLimit


def _collaborators() -> Collaborators:
    collaborators: Collaborators = current_app.extensions["usermanagement"]
    return collaborators


@routes.post("/registerUser")
@rate_limit("register")
@body(Registration)
def register_user(body: Registration) -> tuple[Response, int, dict[str, str]]:
    """Create a user."""
    mine = _collaborators()
    user = users.register(
        body, database=mine.database, passwords=mine.passwords, redis_helper=mine.redis_helper
    )
    answer = jsonify(message="User registered", user=user)
    return answer, 201, {"Location": f"{routes.url_prefix}/users/{user['id']}"}


@routes.post("/login")
@rate_limit("login")
@body(Credentials)
def log_in(body: Credentials) -> Response:
    """Begin a session. One that came with the request ends: a planted id gains nobody anything."""
    mine = _collaborators()
    refuse_foreign_origin()
    earlier = presented_session_id()
    session, user = logins.log_in(
        body,
        database=mine.database,
        passwords=mine.passwords,
        sessions=mine.sessions,
        limiter=mine.limiter,
        failures=mine.login_failures,
    )
    if earlier is not None:
        mine.sessions.revoke(earlier)
    answer = jsonify(session_id=session.session_id, expires_in=int(session.ttl_seconds), user=user)
    set_session_cookie(answer, session)
    return answer


@routes.post("/logout")
@login_required()
def log_out() -> Response:
    """End this session."""
    _collaborators().sessions.revoke(current_session().session_id)
    return _no_session()


@routes.get("/session")
@login_required()
def show_session() -> Response:
    """This session, as all services see it."""
    session = current_session()
    return jsonify(
        user_id=session.user_id,
        user_data=session.user_data,
        created_at=session.created_at.isoformat(),
        auth_at=session.auth_at.isoformat(),
        expires_at=session.expires_at.isoformat(),
        expires_in=int(session.ttl_seconds),
    )


@routes.post("/session/refresh")
@login_required()
def refresh_session() -> Response:
    """Let this session's idle time begin anew, as every use of it does."""
    return jsonify(expires_in=int(current_session().ttl_seconds))


@routes.get("/sessions")
@login_required()
def list_sessions() -> Response:
    """The user's sessions, none of them by its id."""
    mine = current_session()
    sessions = _collaborators().sessions.list(mine.user_id)
    return jsonify(items=[_listed(session, mine) for session in sessions], next=None)


@routes.delete("/sessions")
@login_required()
def end_sessions() -> Response:
    """End the user's other sessions, with ?all=true this one too."""
    mine, session = _collaborators(), current_session()
    everything = request.args.get("all") == "true"
    logins.end_sessions(
        int(session.user_id),
        database=mine.database,
        sessions=mine.sessions,
        spare=None if everything else session.session_id,
    )
    return _no_session() if everything else Response(status=204)


@routes.delete("/sessions/<public_id>")
@login_required()
def end_session(public_id: str) -> Response:
    """End one of the user's sessions, by the id that the list gives it."""
    mine, session = _collaborators(), current_session()
    if not logins.end_session_named(int(session.user_id), public_id, sessions=mine.sessions):
        raise Problem(404, "Not Found")
    return _no_session() if public_id == session.public_id else Response(status=204)


def _listed(session: Session, mine: Session) -> dict[str, Any]:
    return {
        "id": session.public_id,
        "created_at": session.created_at.isoformat(),
        "auth_at": session.auth_at.isoformat(),
        "expires_at": session.expires_at.isoformat(),
        "current": session.session_id == mine.session_id,
    }


def _no_session() -> Response:
    answer = Response(status=204)
    clear_session_cookie(answer)
    return answer


@routes.errorhandler(UserAlreadyExists)
def _taken(error: UserAlreadyExists) -> Response:
    details = [Detail(field, "is taken") for field in error.fields]
    return problem_response(Problem(409, "User already exists", details))


@routes.errorhandler(InvalidCredentials)
def _invalid(_: InvalidCredentials) -> Response:
    return problem_response(unauthorized("Wrong username, e-mail address or password"))


@routes.errorhandler(TooManyFailures)
def _locked(error: TooManyFailures) -> Response:
    return refuse(error.decision)


@routes.errorhandler(PasswordHashingBusy)
def _busy(_: PasswordHashingBusy) -> Response:
    return problem_response(Problem(503, "Too busy, try again", headers={"Retry-After": "2"}))
