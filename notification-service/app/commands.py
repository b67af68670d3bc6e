"""The service's commands: `flask --app wsgi notifications …`."""

import functools
from dataclasses import asdict
from typing import Any

import click

from common.pyportal_common.commands.groups import (
    ActOptions,
    OperatorGroup,
    acting,
    as_json,
    ids_argument,
    listing,
    narrowing,
    run_bulk_act,
    user_option,
)
from common.pyportal_common.commands.output import show_item, show_json, show_page, show_table
from common.pyportal_common.operations import JobFilter, JobOperations
from common.pyportal_common.web import PageQuery

from .notifications.recipients import Principal
from .notifications.service import Notifications

_KIND = "notifications"
_LISTED = "id type status user_id attempts created_at finished_at error"
_ATTEMPTS = "number started_at ended_at outcome reason"


def notification_commands(operations: JobOperations, notifications: Notifications) -> click.Group:
    """The commands about notifications. They show no recipient and no text."""
    commands = OperatorGroup("notifications", help="Notifications and their deliveries.")
    status = click.option("--status", help="In this state.")

    @commands.command("list", example="notifications list --status failed --since 2h")
    @status
    @user_option
    @narrowing
    @listing
    def list_notifications(
        status: str | None,
        user: int | None,
        limit: int,
        cursor: str | None,
        as_json: bool,
        **narrowed: Any,
    ) -> None:
        """List notifications, the newest first."""
        wanted = JobFilter(_KIND, status, user, **narrowed)
        page = operations.page(wanted, limit=limit, cursor=cursor)
        show_page(page, _LISTED, as_json=as_json)

    @commands.command("show", example="notifications show 1")
    @click.argument("notification_id", metavar="ID", type=int)
    @as_json
    def show(notification_id: int, as_json: bool) -> None:
        """Show a notification and the attempts to deliver it."""
        shown = operations.show(_KIND, notification_id)
        attempts = _attempts(notifications, notification_id)
        if as_json:
            show_json({**asdict(shown), "deliveries": attempts})
            return
        show_item(shown, as_json=False)
        show_table(_ATTEMPTS, attempts)

    @commands.command("retry", example="notifications retry --all --yes")
    @ids_argument
    @status
    @user_option
    @click.option("--all", "every", is_flag=True, help="All that have failed.")
    @narrowing
    @acting
    def retry(
        ids: tuple[int, ...],
        status: str | None,
        user: int | None,
        every: bool,
        options: ActOptions,
        **narrowed: Any,
    ) -> None:
        """Deliver failed notifications again; suppressed ones by --status."""
        wanted = JobFilter(_KIND, status, user, ids or None, **narrowed)
        act = operations.to_retry(wanted, every=every)
        run = functools.partial(act.run, options.actor)
        run_bulk_act(options, "retry", "notification", act.count, run, done="retried")

    return commands


def _attempts(notifications: Notifications, notification_id: int) -> list[dict[str, Any]]:
    everything = Principal(None, "operator")
    first = notifications.attempts_of(notification_id, PageQuery(limit=100), everything)
    shown = set(_ATTEMPTS.split())
    return [each.model_dump(include=shown, by_alias=False) for each in first.items]
