"""The commands about messages that were refused: `flask --app wsgi outbox …`."""

from collections.abc import Callable
from typing import Any

import click

from .outbox import BaseOutbox


def outbox_commands(outbox: BaseOutbox[Any]) -> click.Group:
    """The commands `list`, `resend` and `discard` for the failed messages of a service."""
    commands = click.Group("outbox", help="Messages to other services that were refused.")

    @commands.command("list", help="List the oldest 100 failed messages, without their content.")
    def list_failed() -> None:
        messages = outbox.failed()
        for message in messages:
            click.echo(
                f"{message.id}  {message.finished_at:%Y-%m-%d %H:%M:%S}Z  {message.service}"
                f"  {message.path}  {message.body.get('template', '-')}  {message.error}"
            )
        click.echo(f"{len(messages)} failed messages" + (" or more" * (len(messages) == 100)))

    _command(commands, "resend", "Send failed messages again, with their keys.", outbox.resend)
    _command(
        commands, "discard", "Give up failed messages, and delete their content.", outbox.discard
    )
    return commands


def _command(
    commands: click.Group, name: str, text: str, act: Callable[[list[int] | None], int]
) -> None:
    @commands.command(name, help=text)
    @click.argument("ids", nargs=-1, type=int)
    @click.option("--all", "of_all", is_flag=True, help="All failed messages.")
    def run(ids: tuple[int, ...], of_all: bool) -> None:
        if bool(ids) == of_all:
            raise click.UsageError("Give the ids of messages, or --all")
        count = act(None if of_all else list(ids))
        click.echo(f"{name}: {count} messages")
        if not of_all and count < len(set(ids)):
            raise click.ClickException("The other messages do not exist or have not failed")
