"""The commands about jobs: `flask --app wsgi jobs …`, `schedules …` and `outbox …`."""

import getpass
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from ..db import Database
from ..extras import requires
from .monitor import Kind
from .outbox import BaseOutbox, OutboxMessage
from .pauses import Pauses
from .schedules import Scheduler
from .services import BaseServices

with requires("cli"):
    import click

_MAX_COUNTED = 10_000


def commands_of(services: BaseServices) -> list[click.Group]:
    """All commands about the jobs of a service."""
    kinds: list[Kind] = [jobs for jobs, _ in services.handlers]
    groups = []
    if services.outbox is not None:
        kinds.append(services.outbox)
        groups.append(outbox_commands(services.outbox))
    groups.append(schedule_commands(services.scheduler, services.pauses))
    groups.append(
        job_commands(services.database, kinds, [*services.scheduler.schedules], services.pauses)
    )
    return groups


def job_commands(
    database: Database, kinds: Sequence[Kind], schedules: Sequence[str], pauses: Pauses
) -> click.Group:
    """The commands `list`, `pause` and `resume` for the kinds of jobs and the schedules."""
    commands = click.Group("jobs", help="Kinds of jobs, which can be paused.")
    known = [*(each.kind for each in kinds), *schedules]

    @commands.command("list", help="List the kinds: waiting and running jobs, and pauses.")
    def list_kinds() -> None:
        paused = {pause.kind: pause for pause in pauses.all()}
        for kind in kinds:
            click.echo(f"{kind.kind}  {_counts(database, kind)}")
        for name in schedules:
            click.echo(f"{name}  schedule")
        for pause in paused.values():
            why = f": {pause.reason}" if pause.reason else ""
            click.echo(f"{pause.kind} paused {_time(pause.paused_at)} by {pause.paused_by}{why}")

    @commands.command("pause", help="Start no more jobs of a kind. Running ones finish.")
    @click.argument("kind", type=click.Choice(known))
    @click.option("--reason", default="", help="Shown by `list`.")
    @click.option("--by", default=_user, help="Who pauses it. Default: the account's name.")
    def pause(kind: str, reason: str, by: str) -> None:
        pauses.pause(kind, by=by, reason=reason)
        click.echo(f"{kind} is paused: no job of it starts from the next second on")

    @commands.command("resume", help="Start jobs of a kind again.")
    @click.argument("kind")  # perhaps one of another release
    def resume(kind: str) -> None:
        if not pauses.resume(kind):
            raise click.ClickException(f"{kind} is not paused")
        click.echo(f"{kind} is resumed")

    return commands


def schedule_commands(scheduler: Scheduler, pauses: Pauses) -> click.Group:
    """The command `list` for the schedules of a service."""
    commands = click.Group("schedules", help="What workers do at certain times.")

    @commands.command("list", help="List the schedules: last tick, outcome, next tick.")
    def list_schedules() -> None:
        paused = {pause.kind for pause in pauses.all()}
        for each in scheduler.summaries():
            schedule, last = each.schedule, each.last
            words = [schedule.name, f"{schedule.expression!r} {schedule.zone}"]
            if last is not None:
                error = f": {last.error}" if last.error else ""
                attempts = f" after {last.attempts} attempts" if last.attempts > 1 else ""
                words.append(f"last {_time(last.tick)} {last.status}{attempts}{error}")
            is_paused = schedule.name in paused
            words.append("paused" if is_paused else f"next {_time(each.next)}")
            click.echo("  ".join(words))

    return commands


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


def _counts(database: Database, kind: Kind) -> str:
    """How many jobs wait and run. At most 10,000 of each are counted."""
    model = kind.model
    columns = [model.due_at]
    if not issubclass(model, OutboxMessage):  # whose messages are due again when a lease ends
        columns.append(model.lease_until)
    found = Counter[str]()
    with database.read() as tx:
        for column in columns:
            rows = select(model.status).where(column.is_not(None)).limit(_MAX_COUNTED)
            found.update(tx.scalars(rows))
    names = {"waiting": model.STATES.waiting, "running": model.STATES.running}
    return "  ".join(
        f"{found[status]}{' or more' * (found[status] >= _MAX_COUNTED)} {name}"
        for name, status in names.items()
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in containers
        return "unknown"
