"""The service's HTTP side: parse, call, answer."""

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
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
from .errors import (
    InvalidCredentials,
    PasswordHashingBusy,
    TooManyFailures,
    UserAlreadyExists,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .schemas import Credentials, PasswordChange, Registration, UserUpdate

routes = Blueprint("users", __name__, url_prefix="/api/v1/airliner")

_USER_ID = f"<int(max={2**63 - 1}):user_id>"
_PAGE = 50  # users
_LONGEST_NAME = 254  # characters


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
    """End the current session."""
    _collaborators().sessions.revoke(current_session().session_id)
    return _no_session()


@routes.get("/session")
@login_required()
def show_session() -> Response:
    """The current session, as all services see it."""
    session = current_session()
    return jsonify(
        user_id=session.user_id,
        user_data=session.user_data,
        created_at=_iso(session.created_at),
        auth_at=_iso(session.auth_at),
        expires_at=_iso(session.expires_at),
        expires_in=int(session.ttl_seconds),
    )


@routes.post("/session/refresh")
@login_required()
def refresh_session() -> Response:
    """Let the current session's idle time begin anew, as every use of it does."""
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
        _own_id(),
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
    if not logins.end_session_named(session.user_id, public_id, sessions=mine.sessions):
        raise Problem(404, "Not Found")
    return _no_session() if public_id == session.public_id else Response(status=204)


@routes.get(f"/users/{_USER_ID}")
@login_required()
def show_user(user_id: int) -> Response:
    """A user: oneself, or any for an admin."""
    mine = _collaborators()
    _require_owner_or_admin(user_id)
    return jsonify(user=users.find(user_id, database=mine.database, redis_helper=mine.redis_helper))


@routes.get("/users")
@login_required(role="admin")
def list_users() -> Response:
    """Users: the one of a username or an e-mail address, or a page of all."""
    mine = _collaborators()
    username, email = _query("username"), _query("email")
    if username or email:
        found = users.find_by_name(
            username=username,
            email=None if username else email,
            database=mine.database,
            redis_helper=mine.redis_helper,
        )
        return jsonify(items=[found] if found else [], next=None)
    items, after = users.page(_cursor(), _PAGE, database=mine.database)
    return jsonify(items=items, next=None if after is None else str(after))


@routes.patch(f"/users/{_USER_ID}")
@login_required()
@body(UserUpdate)
def change_user(user_id: int, body: UserUpdate) -> Response:
    """Change a user: oneself, or any for an admin. A new e-mail address needs the password."""
    mine = _collaborators()
    _require_owner_or_admin(user_id)

    with _confirmation() if "email" in body.model_fields_set else nullcontext():
        user = users.change(
            user_id,
            body,
            actor_id=_own_id(),
            database=mine.database,
            passwords=mine.passwords,
        )
    return jsonify(user=user)


@routes.put(f"/users/{_USER_ID}/password")
@login_required()
@body(PasswordChange)
def change_password(user_id: int, body: PasswordChange) -> Response:
    """Set one's own password. The current session goes on under a new id, the others end."""
    mine, session = _collaborators(), current_session()
    if user_id != _own_id():
        raise Problem(403, "You may not do this")
    with _confirmation():
        epoch = users.change_password(
            user_id, body, database=mine.database, passwords=mine.passwords
        )
        renewed = logins.go_on_alone(session, epoch, sessions=mine.sessions)
    answer = jsonify(session_id=renewed.session_id, expires_in=int(renewed.ttl_seconds))
    set_session_cookie(answer, renewed)
    return answer


@routes.delete(f"/users/{_USER_ID}")
@login_required()
def delete_user(user_id: int) -> Response:
    """Delete a user: oneself, or any for an admin. All their sessions end."""
    mine = _collaborators()
    _require_owner_or_admin(user_id)
    try:
        users.remove(user_id, database=mine.database)
    finally:  # also after a failure: the first try may have deleted, and not ended the sessions
        logins.end_sessions_of_nobody(user_id, database=mine.database, sessions=mine.sessions)
    return _no_session() if user_id == current_session().user_id else Response(status=204)


def _require_owner_or_admin(user_id: int) -> None:
    session = current_session()
    if user_id != session.user_id and session.user_data.get("role") != "admin":
        raise Problem(403, "You may not do this")


def _own_id() -> int:
    """The id of the user who asks. Sessions that others made may name no user of ours."""
    user_id = current_session().user_id
    if not isinstance(user_id, int):
        raise Problem(403, "The current session is of no user here")
    return user_id


def _confirmation() -> AbstractContextManager[None]:
    """Around what a password confirms: wrong ones count as failed logins of who asks."""
    mine = _collaborators()
    name = current_session().user_data.get("username")
    return logins.counting_failures(
        str(name or _own_id()), limiter=mine.limiter, failures=mine.login_failures
    )


def _query(name: str) -> str | None:
    text = request.args.get(name)
    if text is not None and (len(text) > _LONGEST_NAME or not text.isprintable()):
        raise Problem(422, "Validation failed", [Detail(name, "is nobody's")])
    return text


def _cursor() -> int:
    text = request.args.get("cursor", "0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Problem(422, "Validation failed", [Detail("cursor", "is not one that we gave")])
    return int(text)


def _listed(session: Session, mine: Session) -> dict[str, Any]:
    return {
        "id": session.public_id,
        "created_at": _iso(session.created_at),
        "auth_at": _iso(session.auth_at),
        "expires_at": _iso(session.expires_at),
        "current": session.session_id == mine.session_id,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")  # as pydantic writes those of users


def _no_session() -> Response:
    answer = Response(status=204)
    clear_session_cookie(answer)
    return answer


@routes.errorhandler(UserAlreadyExists)
def _taken(error: UserAlreadyExists) -> Response:
    details = [Detail(field, "is taken") for field in error.fields]
    return problem_response(Problem(409, "User already exists", details))


@routes.errorhandler(UserNotFound)
def _not_found(_: UserNotFound) -> Response:
    return problem_response(Problem(404, "Not Found"))


@routes.errorhandler(WrongPassword)
def _wrong_password(_: WrongPassword) -> Response:
    return problem_response(Problem(403, "The password is wrong or missing"))


@routes.errorhandler(WeakPassword)
def _weak_password(error: WeakPassword) -> Response:
    details = [Detail("newPassword", str(error))]
    return problem_response(Problem(422, "Validation failed", details))


@routes.errorhandler(InvalidCredentials)
def _invalid(_: InvalidCredentials) -> Response:
    return problem_response(unauthorized("Wrong username, e-mail address or password"))


@routes.errorhandler(TooManyFailures)
def _locked(error: TooManyFailures) -> Response:
    return refuse(error.decision)


@routes.errorhandler(PasswordHashingBusy)
def _busy(_: PasswordHashingBusy) -> Response:
    return problem_response(Problem(503, "Too busy, try again", headers={"Retry-After": "2"}))
