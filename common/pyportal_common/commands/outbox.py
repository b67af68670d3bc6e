"""`flask --app wsgi outbox …`."""

import functools
from collections.abc import Callable
from typing import Any

from ..extras import requires
from ..operations import BulkAct, MessageFilter, OutboxOperations
from .groups import (
    ActOptions,
    OperatorGroup,
    acting,
    ids_argument,
    listing,
    narrowing,
    run_bulk_act,
)
from .output import show_page

with requires("cli"):
    import click

_LISTED = "id finished_at service path template attempts error"


def outbox_commands(operations: OutboxOperations) -> click.Group:
    """The commands about the outbox."""
    commands = OperatorGroup("outbox", help="Messages to other services that were refused.")

    @commands.command("list", example='outbox list --since 1d --error "answered 422"')
    @click.option("--service", help="To this service.")
    @narrowing
    @listing
    def list_failed(
        service: str | None, limit: int, cursor: str | None, as_json: bool, **narrowed: Any
    ) -> None:
        """List the failed messages, the newest first, without their content."""
        wanted = MessageFilter(service, **narrowed)
        page = operations.page(wanted, limit=limit, cursor=cursor)
        show_page(page, _LISTED, as_json=as_json)

    resend, discard = operations.to_resend, operations.to_discard
    text = "Send failed messages again, with their keys."
    _add_act(commands, "resend", text, resend, done="sent again")
    text = "Give failed messages up, and delete their content."
    _add_act(commands, "discard", text, discard, done="discarded")
    return commands


def _add_act(
    commands: OperatorGroup,
    name: str,
    text: str,
    prepare: Callable[..., BulkAct],
    *,
    done: str,
) -> None:
    @commands.command(name, help=text, example=f"outbox {name} --all --yes")
    @ids_argument
    @click.option("--service", help="Those to this service.")
    @click.option("--all", "every", is_flag=True, help="All failed messages.")
    @narrowing
    @acting
    def act_on_messages(
        ids: tuple[int, ...],
        service: str | None,
        every: bool,
        options: ActOptions,
        **narrowed: Any,
    ) -> None:
        wanted = MessageFilter(service, ids or None, **narrowed)
        act = prepare(wanted, every=every)
        run = functools.partial(act.run, options.actor)
        changed = run_bulk_act(options, name, "failed message", act.count, run, done=done)
        if changed < len(set(ids)):
            raise click.ClickException("The other messages do not exist or have not failed")
