"""`flask --app wsgi redis …`."""

from ..db import Page
from ..extras import requires
from ..operations import DatabaseOperations
from .groups import OperatorGroup, as_json, budget
from .output import cell, show_item, show_json, show_page

with requires("cli"):
    import click

_SLOW = "id at milliseconds command kind arguments"


def redis_commands(operations: DatabaseOperations) -> click.Group:
    """The commands about the Redis databases of a service."""
    commands = OperatorGroup("redis", help="The Redis databases of this service.")
    database = click.option(
        "--database", default="caches", show_default=True, type=click.Choice(operations.names)
    )

    @commands.command("info", example="redis info")
    @database
    @as_json
    def info(database: str, as_json: bool) -> None:
        """Show the state of a server."""
        show_item(operations.info(database), as_json=as_json)

    @commands.command("memory", example="redis memory --database sessions")
    @database
    @as_json
    def memory(database: str, as_json: bool) -> None:
        """Show the memory of a server, in bytes."""
        show_item(operations.memory(database), as_json=as_json)

    @commands.command("keys", example="redis keys --prefix user: --limit 10")
    @click.option("--prefix", default="", help="That the keys begin with.")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
    @database
    @budget
    @as_json
    def keys(prefix: str, limit: int, database: str, budget: int, as_json: bool) -> None:
        """List keys. Only a part of a large database is read, with SCAN and never with KEYS.

        Sessions are not listed: their keys contain secrets.
        """
        found = operations.keys(database, prefix, limit=limit, budget=budget)
        if as_json:
            show_json({"items": found})
            return
        for key in found:
            click.echo(cell(key, longest=len(key)))

    @commands.command("slowlog", example="redis slowlog --limit 10")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
    @database
    @as_json
    def slowlog(limit: int, database: str, as_json: bool) -> None:
        """List the latest slow commands of a server: the name and the kind of key, no arguments."""
        page = Page(operations.slowlog(database, limit=limit))
        show_page(page, _SLOW, as_json=as_json)

    return commands
