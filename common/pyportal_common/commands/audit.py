"""`flask --app wsgi audit …`."""

from datetime import datetime

from ..db import Audit, AuditFilter
from ..extras import requires
from .groups import OperatorGroup, listing, timed
from .output import show_page

with requires("cli"):
    import click

_LISTED = "id at actor action target filter count request_id"


def audit_commands(audit: Audit) -> click.Group:
    """The commands about the audit log."""
    commands = OperatorGroup("audit", help="What operators and admins did, for a year.")

    @commands.command("list", example='audit list --action "jobs retry" --since 7d')
    @click.option("--actor", help="Of this actor, as it is shown.")
    @click.option("--action", help='With this action, such as "jobs retry".')
    @click.option("--target", help='With this target, such as "user=7".')
    @timed
    @listing
    def list_entries(
        actor: str | None,
        action: str | None,
        target: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        cursor: str | None,
        as_json: bool,
    ) -> None:
        """List the entries, the newest first."""
        wanted = AuditFilter(actor, action, target, since, until)
        show_page(audit.page(wanted, limit=limit, cursor=cursor), _LISTED, as_json=as_json)

    return commands
