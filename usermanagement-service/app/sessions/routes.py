"""Logging in and out over HTTP, and what users may do with their sessions."""

from flask import Blueprint, Response, request

from common.pyportal_common.web import (
    Problem,
    body,
    clear_session_cookie,
    client_network,
    current_session,
    current_user_id,
    login_required,
    presented_session_id,
    query,
    rate_limit,
    refuse_foreign_origin,
    respond,
    responses,
    set_session_cookie,
)

from . import logins
from .context import PREFIX, services
from .schemas import (
    Credentials,
    ListedSession,
    LoggedIn,
    SessionEnding,
    SessionExpiry,
    SessionList,
    SessionView,
)

routes = Blueprint("sessions", __name__, url_prefix=PREFIX)


@routes.post("/login")
@rate_limit("login")
@body(Credentials)
@responses(LoggedIn, problems=[401, 403], headers={"Set-Cookie": "The session, for browsers."})
def log_in(body: Credentials) -> Response:
    """Begin a session.

    One that came with the request ends: a planted id gains nobody anything. A wrong name and a
    wrong password are one answer. Too many wrong ones lock the name for a while.
    """
    mine = services()
    refuse_foreign_origin()
    earlier = presented_session_id()
    session, user = logins.log_in(
        body,
        network=client_network(request.remote_addr),
        database=mine.database,
        passwords=mine.passwords,
        sessions=mine.sessions,
        limiter=mine.limiter,
        failures=mine.settings.rate_limit_login_failures,
        outbox=mine.outbox,
    )
    if earlier is not None:
        mine.sessions.revoke(earlier)
    answer = respond(LoggedIn.of(session, user))
    set_session_cookie(answer, session)
    return answer


@routes.post("/logout")
@login_required()
@responses(status=204)
def log_out() -> Response:
    """End the current session, at once everywhere."""
    services().sessions.revoke(current_session().session_id)
    return no_session()


@routes.get("/session")
@login_required()
@responses(SessionView)
def show_session() -> Response:
    """The current session, as all services see it."""
    return respond(SessionView.model_validate(current_session()))


@routes.post("/session/refresh")
@login_required()
@responses(SessionExpiry)
def refresh_session() -> Response:
    """Let the current session's idle time begin anew, as every use of it does."""
    return respond(SessionExpiry.model_validate(current_session()))


@routes.get("/sessions")
@login_required()
@responses(SessionList)
def list_sessions() -> Response:
    """The user's sessions, none of them by its id."""
    mine = current_session()
    sessions = services().sessions.list(mine.user_id)
    return respond(SessionList(items=[ListedSession.of(session, mine) for session in sessions]))


@routes.delete("/sessions")
@login_required()
@query(SessionEnding)
@responses(status=204)
def end_sessions(query: SessionEnding) -> Response:
    """End the user's other sessions, or all."""
    mine, session = services(), current_session()
    logins.end_sessions(
        current_user_id(),
        database=mine.database,
        spare=None if query.all else session.session_id,
    )
    return no_session() if query.all else Response(status=204)


@routes.delete("/sessions/<public_id>")
@login_required()
@responses(status=204, problems=[404])
def end_session(public_id: str) -> Response:
    """End one of the user's sessions, by the id that the list gives it."""
    mine, session = services(), current_session()
    if not logins.end_session_named(session.user_id, public_id, sessions=mine.sessions):
        raise Problem(404, "Not Found")
    return no_session() if public_id == session.public_id else Response(status=204)


def no_session() -> Response:
    """The answer after which a browser has no session any more."""
    answer = Response(status=204)
    clear_session_cookie(answer)
    return answer
