"""Sessions of a user: list, end one, end all."""

from flask import Response
from pydantic import Field

from ...commands.output import plural
from ...db import Actor
from ...operations import SessionOperations, Unknown
from ...web import current_session
from ...web.pages import Filter, read_filter
from .acts import BackForm
from .console import Console, Plan, link


class SessionSearch(Filter):
    """The query of the page: a user's id, username or e-mail address."""

    user: str | None = Field(None, max_length=254)


class RevokeForm(BackForm):
    """Which session of a user ends; all without one."""

    session: str | None = Field(None, max_length=64)


def add_session_pages(console: Console, sessions: SessionOperations) -> None:
    """Add the page about the sessions of a user, and its acts."""

    @console.page("/sessions", navigation="Sessions")
    def session_list() -> Response:
        wanted = read_filter(SessionSearch)
        user_id = sessions.user(wanted.user) if wanted.user else None
        return console.show(
            "sessions.html",
            wanted=wanted,
            user_id=user_id,
            found=[] if user_id is None else sessions.list(user_id),
            own=current_session().public_id,
        )

    def revoke_all(user_id: int, back: str) -> Plan:
        count = sessions.count(user_id)

        def act(actor: Actor) -> str:
            ended = sessions.revoke_all(actor, user_id)
            if ended.is_pending:
                return f"The sessions of user {user_id} end when Redis is available again"
            return f"Ended {plural('session', ended.count or 0)} of user {user_id}"

        return Plan(
            f"End {plural('session', count or 0)} of user {user_id}?",
            "End all",
            act,
            back,
            explanation="In all services. Any login in progress ends too.",
        )

    def revoke_one(user_id: int, session: str, back: str) -> Plan:
        found = next((each for each in sessions.list(user_id) if each.id == session), None)
        if found is None:
            raise Unknown(f"session of the user {user_id} with the id", session)

        def act(actor: Actor) -> str:
            sessions.revoke(actor, user_id, session)
            return f"Ended a session of user {user_id}"

        about = {"device": found.device, "network": found.network, "session": session}
        return Plan(f"End a session of user {user_id}?", "End", act, back, count=1, filter=about)

    @console.act("/sessions/<id:user_id>/revoke", RevokeForm)
    def revoke(form: RevokeForm, user_id: int) -> Plan:
        back = form.back_or(link("/sessions", user=user_id))
        if form.session is None:
            return revoke_all(user_id, back)
        return revoke_one(user_id, form.session, back)
