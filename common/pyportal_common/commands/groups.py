"""The groups of operators' commands: their options, examples and exit statuses.

0: done. 1: refused, or something is wrong. 2: the command is not as its help says. 3: what it needs
does not answer.
"""

import functools
import getpass
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisLayerError
from ..command_examples import CommandWithExample
from ..db import Actor, InvalidCursor
from ..db.database import cause_of
from ..extras import requires
from ..operations import NotFiltered, OperationRefused, moment_of
from .output import plural, show_json

with requires("cli"):
    import click

_MAX_ID = 2**63 - 1  # of SQL

Function = TypeVar("Function", bound=Callable[..., Any])


class Unavailable(click.ClickException):
    """What the command needs does not answer."""

    exit_code = 3


class OperatorCommand(CommandWithExample):
    """A command that says in one line what went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except NotFiltered:
            raise click.UsageError("Say either which ones, or --all, not both", ctx) from None
        except OperationRefused as error:
            raise click.ClickException(str(error)) from None
        except InvalidCursor as error:
            raise click.UsageError(f"--cursor: no list has printed {error}") from None
        except RedisLayerError as error:
            raise Unavailable(str(error)) from None
        except SQLAlchemyError as error:
            raise Unavailable(f"the SQL database does not answer: {cause_of(error)}") from None


class OperatorGroup(click.Group):
    """Commands for operators."""

    command_class = OperatorCommand


def operator_commands(group: click.Group) -> Iterator[tuple[list[str], CommandWithExample]]:
    """The commands for operators in a group and its groups, with their words."""
    for name, command in group.commands.items():
        if isinstance(command, CommandWithExample):
            yield [name], command
        elif isinstance(command, click.Group):
            yield from (([name, *words], each) for words, each in operator_commands(command))


def listing(function: Function) -> Function:
    """The options of a command that lists."""
    for option in (
        as_json,
        click.option("--cursor", help="Begin where the last page has ended."),
        click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000)),
    ):
        function = option(function)
    return function


class _Moment(click.ParamType[Any]):
    """A time: "2h" ago, or ISO 8601."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The time in UTC."""
        try:
            return moment_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def timed(function: Function) -> Function:
    """The options `since` and `until` of a command that selects by time."""
    since = "From this time on: 2h ago (s, m, h, d), or 2026-11-26T08:15, in UTC."
    until = click.option("--until", type=_Moment(), help="Before this time.")
    return until(click.option("--since", type=_Moment(), help=since)(function))


def narrowing(function: Function) -> Function:
    """The options `since`, `until` and `error` of a command that selects what was created."""
    error = "Only with this text in the error, in any case."
    return timed(click.option("--error", type=_Text(), help=error)(function))


class _Text(click.ParamType[Any]):
    """A text that is not blank."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        if not str(value).strip():
            self.fail("is empty", param, ctx)
        return str(value)


ids_argument = click.argument("ids", nargs=-1, type=click.IntRange(1, _MAX_ID))
user_option = click.option(
    "--user", type=click.IntRange(0, _MAX_ID), help="Of the user with this id."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in containers
        return "unknown"


by = click.option(
    "--by",
    "actor",
    envvar="OPERATOR",
    default=_user,
    callback=lambda _, __, name: Actor(name, secrets.token_hex(16)),
    help="Who acts, for the audit log. Default: OPERATOR, else the name of the account.",
)


@dataclass(frozen=True, slots=True)
class ActOptions:
    """Who acts, and how: the options of `acting`."""

    actor: Actor
    yes: bool
    dry_run: bool
    as_json: bool


def acting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that changes something, and asks before. It gets `ActOptions`."""

    @as_json
    @by
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help="Only count.")
    @functools.wraps(function)
    def call(
        *args: Any, actor: Actor, yes: bool, dry_run: bool, as_json: bool, **others: Any
    ) -> Any:
        return function(*args, options=ActOptions(actor, yes, dry_run, as_json), **others)

    return call


@dataclass(frozen=True, slots=True)
class Words:
    """An act: its name for programs, and what it does, such as "retry 2 tasks"."""

    action: str
    what: str


def run_act(
    options: ActOptions,
    words: Callable[[int], Words],
    count: Callable[[], int],
    act: Callable[[], int],
    done: Callable[[int], str],
) -> int:
    """Count, ask, act unless there are none, and print how many were changed.

    Exits with 1 if the answer is no.
    """
    changed = count()
    if options.dry_run:
        show_dry_run(options, words(changed), changed)
        return changed
    if changed:
        confirm(options, words(changed))
        changed = act()
    show_done(options, words(changed), changed, done(changed))
    return changed


def run_bulk_act(
    options: ActOptions,
    verb: str,
    noun: str,
    count: Callable[[], int],
    act: Callable[[], int],
    *,
    done: str,
) -> int:
    """`run_act` on a number of things: "Retry 2 tasks?", "2 tasks retried"."""

    def words(changed: int) -> Words:
        return Words(verb, f"{verb} {plural(noun, changed)}")

    return run_act(options, words, count, act, lambda changed: f"{plural(noun, changed)} {done}")


def confirm(options: ActOptions, words: Words) -> None:
    """Ask, unless --yes. Exits with 1 if the answer is no."""
    if not options.yes:
        click.confirm(f"{words.what[0].upper()}{words.what[1:]}?", abort=True, err=True)


def show_dry_run(options: ActOptions, words: Words, count: int | None) -> None:
    """Print what an act would do."""
    show_done(options, words, count, f"Would {words.what}")


def show_done(
    options: ActOptions, words: Words, count: int | None, text: str, **more: object
) -> None:
    """Print what an act has done: a text, or `more` facts for programs."""
    if options.as_json:
        facts = {"action": words.action, "count": count, "dry_run": options.dry_run}
        show_json({**facts, **more})
    else:
        click.echo(text)


budget = click.option(
    "--budget", default=10_000, show_default=True, type=click.IntRange(1), help="Keys to read."
)
