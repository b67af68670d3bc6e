"""`flask --app wsgi jobs …`."""

import functools
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ..db import Actor, Page
from ..extras import requires
from ..jobs.models import MAX_COUNTED
from ..operations import BulkAct, JobFilter, JobOperations, KindOperations, KindStats
from .groups import (
    ActOptions,
    OperatorGroup,
    acting,
    as_json,
    by,
    ids_argument,
    listing,
    narrowing,
    run_bulk_act,
    user_option,
)
from .output import cell, show_item, show_json, show_page, show_table

with requires("cli"):
    import click

_LISTED = "id type status user_id attempts created_at due_at finished_at error"
_COUNTED = "kind waiting running failed late_seconds paused"
_SCHEDULED = "name expression zone last status attempts error next paused"


def job_commands(operations: JobOperations, job_kinds: KindOperations) -> click.Group:
    """The commands about jobs. Those about single jobs only for a service that has any."""
    commands = OperatorGroup("jobs", help="Background jobs, and their kinds.")
    if operations.kinds:
        _add_lists(commands, operations)
        _add_acts(commands, operations)
    _add_kinds(commands, job_kinds)
    return commands


def _add_lists(commands: OperatorGroup, operations: JobOperations) -> None:
    kind = operations.kinds[0]

    @commands.command("list", example=f"jobs list {kind} --since 2h --error timeout")
    @_selecting(operations)
    @listing
    def list_jobs(wanted: JobFilter, limit: int, cursor: str | None, as_json: bool) -> None:
        """List jobs, the newest first."""
        page = operations.page(wanted, limit=limit, cursor=cursor)
        show_page(page, _LISTED, as_json=as_json)

    @commands.command("show", example=f"jobs show {kind} 1")
    @click.argument("kind", type=click.Choice(operations.kinds))
    @click.argument("job_id", metavar="ID", type=int)
    @as_json
    def show(kind: str, job_id: int, as_json: bool) -> None:
        """Show a job, without its content."""
        show_item(operations.show(kind, job_id), as_json=as_json)


def _add_acts(commands: OperatorGroup, operations: JobOperations) -> None:
    kind = operations.kinds[0]

    @commands.command("retry", example=f"jobs retry {kind} --all --yes")
    @_selecting(operations)
    @click.option("--all", "every", is_flag=True, help="All failed jobs of the kind.")
    @acting
    def retry(wanted: JobFilter, *, every: bool, options: ActOptions) -> None:
        """Run failed jobs again; cancelled ones by --status."""
        run(options, "retry", wanted, operations.to_retry(wanted, every=every), "retried")

    @commands.command("cancel", example=f"jobs cancel {kind} 2 3 --yes")
    @_selecting(operations)
    @click.option("--all", "every", is_flag=True, help="All waiting and running jobs of the kind.")
    @acting
    def cancel(wanted: JobFilter, *, every: bool, options: ActOptions) -> None:
        """Cancel waiting jobs at once, and running ones at their next step."""
        run(options, "cancel", wanted, operations.to_cancel(wanted, every=every), "cancelled")

    def run(options: ActOptions, verb: str, wanted: JobFilter, act: BulkAct, done: str) -> None:
        noun = _one_of(wanted.kind)
        run_bulk_act(options, verb, noun, act.count, lambda: act.run(options.actor), done=done)


def _add_kinds(commands: OperatorGroup, operations: KindOperations) -> None:
    first = operations.pausable[0]

    @commands.command("stats", example="jobs stats")
    @as_json
    def stats(as_json: bool) -> None:
        """Count the waiting, running and failed jobs of each kind, and show what is paused.

        Counting stops at 10,000: 10000+ is at least so many, and 10000 with --json, too.
        """
        if as_json:
            show_json({"kinds": operations.stats(), "paused": operations.pauses()})
            return
        show_table(_COUNTED, [_without_pause(each) for each in operations.stats()])
        for pause in operations.pauses():
            why = f": {pause.reason}" if pause.reason else ""
            click.echo(f"{pause.kind} paused {cell(pause.paused_at)} by {pause.paused_by}{why}")

    @commands.command("schedules", example="jobs schedules")
    @as_json
    def schedules(as_json: bool) -> None:
        """List the schedules: last tick, outcome, next tick."""
        show_page(Page(operations.schedules()), _SCHEDULED, as_json=as_json)

    @commands.command("pause", example=f'jobs pause {first} --reason "The receiver is down"')
    @click.argument("kind", type=click.Choice(operations.pausable))
    @click.option("--reason", default="", help="Shown by `stats`.")
    @by
    def pause(kind: str, reason: str, actor: Actor) -> None:
        """Start no more jobs of a kind, or ticks of a schedule. Running ones finish."""
        operations.pause(actor, kind, reason=reason)
        click.echo(f"{kind} is paused: no job of it starts from the next second on")

    @commands.command("resume", example=f"jobs resume {first}")
    @click.argument("kind")  # perhaps one of another release
    @by
    def resume(kind: str, actor: Actor) -> None:
        """Start jobs of a kind again."""
        operations.resume(actor, kind)
        click.echo(f"{kind} is resumed")


def _selecting(operations: JobOperations) -> Callable[..., Callable[..., Any]]:
    """The arguments and options that select jobs, for a function of the filter."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.argument("kind", type=click.Choice(operations.kinds))
        @ids_argument
        @click.option("--status", help="In this state.")
        @user_option
        @narrowing
        @functools.wraps(function)
        def call(
            kind: str,
            ids: tuple[int, ...],
            status: str | None,
            user: int | None,
            since: datetime | None,
            until: datetime | None,
            error: str | None,
            **others: Any,
        ) -> Any:
            wanted = JobFilter(kind, status, user, ids or None, since, until, error)
            return function(wanted, **others)

        return call

    return decorate


def _one_of(kind: str) -> str:
    """The name of a job: "webhook event" of the kind webhook-events."""
    return kind.removesuffix("s").replace("-", " ")


def _without_pause(stats: KindStats) -> dict[str, Any]:
    counts = {
        name: f"{number}+" if number >= MAX_COUNTED else number
        for name in ("waiting", "running", "failed")
        for number in [getattr(stats, name)]
    }
    return {**asdict(stats), **counts, "paused": stats.paused is not None}
