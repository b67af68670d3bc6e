"""`flask --app wsgi limits …`."""

import functools
from dataclasses import asdict

from ..db import Page
from ..extras import requires
from ..operations import LimitOperations
from ..operations.event_counts import LimitCounts, limit_counts
from .counted import seen_metrics
from .groups import ActOptions, OperatorGroup, acting, as_json, budget, run_act
from .output import show_page

with requires("cli"):
    import click

_DEFINED = "name rate overrides without_redis refused near would_refuse"
_USED = "identifier rate_limit used limit window reset_after"


role = click.option("--role", default="", help="Only for users of this role, such as admin.")


def limit_commands(operations: LimitOperations, service: str) -> click.Group:
    """The commands about rate limits."""
    commands = OperatorGroup("limits", help="Rate limits, and what clients have used of them.")

    @commands.command("list", example="limits list")
    @as_json
    def list_limits(as_json: bool) -> None:
        """List the limits: requests / seconds of the settings, and what replaces them.

        With the requests that each has refused since the service started, those after which little
        was left, and those that a shadow limit would have refused.
        """
        counts = limit_counts(seen_metrics(service))
        rows = [
            {**asdict(each), **asdict(counts.get(each.name, LimitCounts()))}
            for each in operations.list()
        ]
        show_page(Page(rows), _DEFINED, as_json=as_json)

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
        show_page(Page(used), _USED, as_json=as_json)

    @commands.command("set", example='limits set admin "240/60;shadow" --yes')
    @click.argument("name")
    @click.argument("rate")
    @role
    @acting
    def set_limit(name: str, rate: str, role: str, options: ActOptions) -> None:
        """Replace a RATE everywhere within two seconds: 10/60, or 10/60;shadow to try it first."""

        def act() -> int:
            operations.set(options.actor, name, rate, role=role)
            return 1

        run_act(options, "set", "limit", lambda: 1, act)

    @commands.command("unset", example="limits unset admin --yes")
    @click.argument("name")
    @role
    @acting
    def unset(name: str, role: str, options: ActOptions) -> None:
        """Return to the rate of the settings, or for a role to that of everybody."""
        act = functools.partial(operations.unset, options.actor, name, role=role)
        run_act(options, "unset", "limit", lambda: None, act)

    @commands.command("clear", example="limits clear 192.0.2.1 --yes")
    @click.argument("client")
    @acting
    def clear(client: str, options: ActOptions) -> None:
        """Forget what a client has used of all limits. A CLIENT is written as for `show`."""
        run_act(
            options,
            "clear",
            "limit",
            lambda: len(operations.show(client)),
            functools.partial(operations.clear, options.actor, client),
        )

    return commands
