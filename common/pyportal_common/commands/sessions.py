"""`flask --app wsgi sessions …`."""

import functools

from ..db import Page
from ..extras import requires
from ..operations import SessionOperations
from .groups import MAX_ID, ActOptions, OperatorGroup, acting, as_json, run_act
from .output import show_page

with requires("cli"):
    import click

_LISTED = "id created_at auth_at last_used_at expires_at device network"


def session_commands(operations: SessionOperations) -> click.Group:
    """The commands about sessions."""
    commands = OperatorGroup("sessions", help="Login sessions, in all services.")
    user = click.argument("user", metavar="USER_ID", type=click.IntRange(1, MAX_ID))

    @commands.command("list", example="sessions list 7")
    @user
    @as_json
    def list_sessions(user: int, as_json: bool) -> None:
        """List a user's sessions. The ids are not the secret ones."""
        show_page(Page(operations.list(user)), _LISTED, as_json=as_json)

    @commands.command("revoke", example="sessions revoke 7 --yes")
    @user
    @click.option("--session", help="Only this one of the list.")
    @acting
    def revoke(user: int, session: str | None, options: ActOptions) -> None:
        """End a user's sessions, and any login in progress."""
        if session is None:
            act = functools.partial(operations.revoke_all, options.actor, user)
            run_act(options, "revoke", "session", lambda: operations.count(user), act, always=True)
            return

        def revoke_one() -> int:
            operations.revoke(options.actor, user, session)
            return 1

        run_act(options, "revoke", "session", lambda: 1, revoke_one)

    return commands
