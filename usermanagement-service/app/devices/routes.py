"""The routes that list and end sessions: of the current user, and for admins of every user."""

from flask import Blueprint, Response

from common.pyportal_common.db import Act
from common.pyportal_common.web import (
    CommonProblem,
    Problem,
    current_actor,
    current_session,
    current_user_id,
    login_required,
    query,
    require_owner_or_admin,
    respond,
    responses,
    user_route,
    with_next_link,
)

from ..services import services
from ..sessions.routes import logged_out, require_step_up
from ..sessions.schemas import SessionEnding, SessionList, SessionSearch

routes = Blueprint("devices", __name__)


@routes.get("/sessions")
@login_required()
@query(SessionSearch)
@responses(SessionList)
def list_sessions(query: SessionSearch) -> Response:
    """List the current user's sessions.

    The ids in the list are not the secret session ids.
    """
    return _list(current_session().user_id, query)


@routes.delete("/sessions")
@login_required()
@query(SessionEnding)
@responses(status=204)
def end_sessions(query: SessionEnding) -> Response:
    """End the current user's other sessions, or all of them."""
    return _end_all(current_user_id(), query)


@routes.delete("/sessions/<public_id>")
@login_required()
@responses(status=204, problems=[404])
def end_session(public_id: str) -> Response:
    """End one of the current user's sessions, by its id in the list."""
    return _end(current_session().user_id, public_id)


@user_route(routes, "GET", "/sessions", me="list_my_sessions")
@login_required()
@query(SessionSearch)
@responses(SessionList, problems=[403, 404])
def list_user_sessions(user_id: int, query: SessionSearch) -> Response:
    """List a user's sessions.

    Users see their own. Admins who have logged in within five minutes see everyone's; that is
    recorded.
    """
    if not _is_own(user_id):
        _record("sessions list", user_id)
    return _list(user_id, query)


@user_route(routes, "DELETE", "/sessions", me="end_my_sessions")
@login_required()
@query(SessionEnding)
@responses(status=204, problems=[403, 404])
def end_user_sessions(user_id: int, query: SessionEnding) -> Response:
    """End a user's sessions, except the current one unless `all` is true.

    Users end their own. Admins who have logged in within five minutes end everyone's; that is
    recorded.
    """
    if not _is_own(user_id):
        _record("sessions revoke", user_id)
    return _end_all(user_id, query)


@user_route(routes, "DELETE", "/sessions/<public_id>", me="end_my_session")
@login_required()
@responses(status=204, problems=[403, 404])
def end_user_session(user_id: int, public_id: str) -> Response:
    """End one of a user's sessions, by its id in the list.

    Users end their own. Admins who have logged in within five minutes end everyone's; that is
    recorded.
    """
    if not _is_own(user_id):
        if services().sessions.find(user_id, public_id) is None:
            raise Problem(CommonProblem.NOT_FOUND)
        _record("sessions revoke", user_id, session=public_id)
    return _end(user_id, public_id)


def _is_own(user_id: int) -> bool:
    """Whether the user is the current one. Otherwise only admins may go on, after a fresh login."""
    if require_owner_or_admin(user_id):
        return True
    require_step_up()
    services().users.find(user_id)  # a 404 for nobody
    return False


def _record(action: str, user_id: int, **given: str) -> None:
    """Record what an admin is about to do, so that nothing is done without a record."""
    services().audit.record_first(current_actor(), Act(action, f"user={user_id}", given))


def _list(user_id: int | str, search: SessionSearch) -> Response:
    page = SessionList.of(services().sessions.list(user_id), search, current_session())
    return with_next_link(respond(page), page.next)


def _end_all(user_id: int, ending: SessionEnding) -> Response:
    current = current_session()
    spare = None if ending.all else current.session_id
    services().sessions.end_all(user_id, spare=spare)
    ends_current = ending.all and user_id == current.user_id
    return logged_out() if ends_current else Response(status=204)


def _end(user_id: int | str, public_id: str) -> Response:
    found = services().sessions.find(user_id, public_id)
    if found is None or not services().sessions.end(found.session_id):
        raise Problem(CommonProblem.NOT_FOUND)
    is_current = found.session_id == current_session().session_id
    return logged_out() if is_current else Response(status=204)
