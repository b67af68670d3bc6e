"""`flask --app wsgi sessions …`."""

from ..db import Page
from ..extras import requires
from ..operations import SessionOperations
from .groups import (
    ActOptions,
    OperatorGroup,
    Words,
    acting,
    as_json,
    confirm,
    run_act,
    show_done,
    show_dry_run,
)
from .output import plural, show_page

with requires("cli"):
    import click

_LISTED = "id created_at auth_at last_used_at expires_at device network"


def session_commands(operations: SessionOperations) -> click.Group:
    """The commands about sessions."""
    commands = OperatorGroup("sessions", help="Login sessions, in all services.")

    @commands.command("list", example="sessions list 7")
    @click.argument("user")
    @as_json
    def list_sessions(user: str, as_json: bool) -> None:
        """List the sessions of a USER: an id, username or e-mail address.

        The ids of the sessions are not the secret ones.
        """
        show_page(Page(operations.list(operations.user(user))), _LISTED, as_json=as_json)

    @commands.command("revoke", example="sessions revoke 7 --yes")
    @click.argument("user")
    @click.option("--session", help="Only this one of the list.")
    @acting
    def revoke(user: str, session: str | None, options: ActOptions) -> None:
        """End the sessions of a USER, and any login in progress.

        A USER is an id, username or e-mail address.
        """
        user_id = operations.user(user)
        if session is None:
            _revoke_all(operations, user_id, options)
        else:
            _revoke_one(operations, user_id, session, options)

    return commands


def _revoke_all(operations: SessionOperations, user_id: int, options: ActOptions) -> None:
    count = operations.count(user_id)
    sessions = "all sessions" if count is None else plural("session", count)
    words = Words("revoke", f"end {sessions} of user {user_id}")
    if options.dry_run:
        show_dry_run(options, words, count)
        return
    confirm(options, words)  # also for none: a login may be in progress
    ended = operations.revoke_all(options.actor, user_id)
    if ended.is_pending:
        text = f"Recorded: the sessions of user {user_id} end when Redis is available again"
    else:
        text = f"{plural('session', ended.count or 0)} of user {user_id} ended"
    show_done(options, words, ended.count, text, pending=ended.is_pending)


def _revoke_one(
    operations: SessionOperations, user_id: int, session: str, options: ActOptions
) -> None:
    def act() -> int:
        operations.revoke(options.actor, user_id, session)
        return 1

    words = Words("revoke", f"end the session {session} of user {user_id}")
    run_act(options, lambda _: words, lambda: 1, act, lambda _: f"session {session} ended")
