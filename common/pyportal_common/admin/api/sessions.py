"""Login sessions of users, without their ids, which are secrets."""

from datetime import datetime

from flask import Blueprint, Response
from pydantic import Field

from ...operations import SessionOperations
from ...web import Page, View, current_actor, respond, responses
from ..guard import Guard
from .acts import Changed
from .lists import respond_all


class SessionOut(View):
    """A session. `id` is that of the user's own list, not the secret one."""

    id: str
    created_at: datetime
    auth_at: datetime = Field(description="When the user has last given the password.")
    last_used_at: datetime | None
    expires_at: datetime
    device: str = Field(examples=["Firefox on Linux"])
    network: str


class Ended(Changed):
    """How many sessions have ended."""

    pending: bool = Field(description="They end when Redis is available again; that is recorded.")


def session_routes(sessions: SessionOperations, admin: Guard) -> Blueprint:
    """The routes about sessions."""
    routes = Blueprint("sessions", __name__, url_prefix="/users/<id:user_id>/sessions")

    @routes.get("")
    @admin
    @responses(Page[SessionOut], problems=[404])
    def list_sessions_of_user(user_id: int) -> Response:
        """List a user's sessions.

        The ids are not the secret ones.
        """
        return respond_all(SessionOut, sessions.list(user_id))

    @routes.delete("")
    @admin
    @responses(Ended, problems=[404])
    def end_sessions_of_user(user_id: int) -> Response:
        """End all sessions of a user, and any login in progress."""
        ended = sessions.revoke_all(current_actor(), user_id)
        return respond(Ended(count=ended.count, pending=ended.is_pending))

    @routes.delete("/<session>")
    @admin
    @responses(status=204, problems=[404])
    def end_session_of_user(user_id: int, session: str) -> Response:
        """End one session of a user, by its id in the list."""
        sessions.revoke(current_actor(), user_id, session)
        return Response(status=204)

    return routes
