"""`flask --app wsgi limits …`."""

import functools

from ..db import Page
from ..extras import requires
from ..operations import LimitOperations, OperationRefused
from .counted import seen_counts
from .groups import ActOptions, OperatorGroup, Words, acting, as_json, budget, run_act
from .output import plural, show_page

with requires("cli"):
    import click

_DEFINED = "name rate overrides without_redis refused near would_refuse"
_USED = "identifier rate_limit used limit window reset_after"


role = click.option("--role", default="", help="Only for users of this role, such as admin.")


def limit_commands(operations: LimitOperations, service: str) -> click.Group:
    """The commands about rate limits."""
    commands = OperatorGroup("limits", help="Rate limits, and what clients have used of them.")
    _add_list(commands, operations, service)
    _add_rates(commands, operations)
    _add_clients(commands, operations)
    return commands


def _add_list(commands: OperatorGroup, operations: LimitOperations, service: str) -> None:
    @commands.command("list", example="limits list")
    @as_json
    def list_limits(as_json: bool) -> None:
        """List the limits: requests / seconds of the settings, and what replaces them.

        With the requests that each has refused since the service started, those after which little
        was left, and those that a shadow limit would have refused.
        """
        show_page(Page(operations.list(seen_counts(service))), _DEFINED, as_json=as_json)


def _add_rates(commands: OperatorGroup, operations: LimitOperations) -> None:
    @commands.command("set", example='limits set admin "240/60;shadow" --yes')
    @click.argument("name")
    @click.argument("rate")
    @role
    @acting
    def set_limit(name: str, rate: str, role: str, options: ActOptions) -> None:
        """Replace a RATE everywhere within two seconds: 10/60, or 10/60;shadow to try it first."""
        for error in operations.errors_in(name, rate, role).values():
            raise OperationRefused(error)

        def act() -> int:
            operations.set(options.actor, name, rate, role=role)
            return 1

        whom = _whom(role)
        words = Words("set", f"set {name} from {operations.rate_of(name, role)} to {rate}{whom}")
        done = f"{name} is {rate}{whom}, everywhere within two seconds"
        run_act(options, lambda _: words, lambda: 1, act, lambda _: done)

    @commands.command("unset", example="limits unset admin --yes")
    @click.argument("name")
    @role
    @acting
    def unset(name: str, role: str, options: ActOptions) -> None:
        """Return to the rate of the settings, or for a role to that of everybody."""
        what = f"the override of {name}{_whom(role)}"

        def done(changed: int) -> str:
            if not changed:
                return f"{name} has no override{_whom(role)}"
            return f"{what} is unset, everywhere within two seconds"

        run_act(
            options,
            lambda _: Words("unset", f"unset {what}"),
            lambda: operations.count_overrides(name, role),
            functools.partial(operations.unset, options.actor, name, role=role),
            done,
        )


def _add_clients(commands: OperatorGroup, operations: LimitOperations) -> None:
    @commands.command("show", example="limits show user:7")
    @click.argument("client", required=False)
    @budget
    @as_json
    def show(client: str | None, budget: int, as_json: bool) -> None:
        """Show what a client has used, or without a CLIENT who is nearest to a limit.

        A CLIENT is a user, user:7, an address, 192.0.2.1, or of IPv6 its network, 2001:db8::/64.
        The list of the nearest shows others, and reads only a part of a large database.
        """
        used = operations.nearest(budget=budget) if client is None else operations.show(client)
        if client is not None and not used:
            _check_client(operations, client)
        if used or as_json:
            show_page(Page(used), _USED, as_json=as_json)
        elif client is None:
            click.echo("nobody has used a limit")
        else:
            click.echo(f"{client} has used no limit")

    @commands.command("clear", example="limits clear 192.0.2.1 --yes")
    @click.argument("client")
    @acting
    def clear(client: str, options: ActOptions) -> None:
        """Forget what a client has used of all limits. A CLIENT is written as for `show`."""
        run_act(
            options,
            lambda count: Words("clear", f"clear {plural('limit', count)} of {client}"),
            lambda: len(operations.show(client)),
            functools.partial(operations.clear, options.actor, client),
            lambda count: f"{plural('limit', count)} of {client} cleared",
        )


def _whom(role: str) -> str:
    return f" for the role {role}" if role else ""


def _check_client(operations: LimitOperations, client: str) -> None:
    """Refuse what is no client, perhaps the name of a limit: each has a kind, or is an address."""
    if ":" in client or "." in client:
        return
    limits = ", ".join(each.name for each in operations.declared)
    raise OperationRefused(
        f"no client {client}: write it as user:7, 192.0.2.1 or 2001:db8::/64. "
        f"The limits are {limits}"
    )
