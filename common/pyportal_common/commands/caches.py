"""`flask --app wsgi cache …`."""

from collections.abc import Mapping
from dataclasses import asdict

from ..db import Page
from ..extras import requires
from ..operations import CacheOperations, KindOfKey
from .counted import seen_counts
from .groups import ActOptions, OperatorGroup, acting, as_json, budget, run_bulk_act
from .output import show_item, show_json, show_page, show_table

with requires("cli"):
    import click

_COUNTED = "kind keys mean_bytes reads hit_ratio"


def cache_commands(operations: CacheOperations, service: str) -> click.Group:
    """The commands about caches."""
    commands = OperatorGroup("cache", help="Cached values. They are never shown.")
    example = operations.examples[0]

    @commands.command("show", example=f"cache show {example}")
    @click.argument("key")
    @as_json
    def show(key: str, as_json: bool) -> None:
        """Show a cached value: its size and age, whether it is used, loaded, or about to change."""
        show_item(operations.show(key), as_json=as_json)

    @commands.command("explain", example=f"cache explain {example}")
    @click.argument("key")
    def explain(key: str) -> None:
        """Say what the next read of a key does, and why it goes to SQL."""
        click.echo(f"The next read of {key} {operations.explain(key)}")

    @commands.command("invalidate", example=f"cache invalidate {example} --yes")
    @click.argument("key")
    @acting
    def invalidate(key: str, options: ActOptions) -> None:
        """Remove a cached value, as a commit that changes its row does."""

        def act() -> int:
            operations.invalidate(options.actor, key)
            return 1

        run_bulk_act(
            options,
            "invalidate",
            "cached value",
            lambda: operations.show(key).count,
            act,
            done="invalidated",
        )

    @commands.command("verify", example="cache verify --limit 1000")
    @click.option("--cache", "caches", multiple=True, help="Only this kind, such as user.")
    @click.option("--limit", default=10_000, show_default=True, type=click.IntRange(1))
    @as_json
    @click.pass_context
    def verify(ctx: click.Context, caches: tuple[str, ...], limit: int, as_json: bool) -> None:
        """Compare cached values with SQL. Exits with 1 if one is stale, and lists those."""
        found = operations.verify(caches=caches, limit=limit)
        if as_json:
            show_json(found)
        else:
            outcomes = [{"outcome": name, "values": n} for name, n in found.outcomes.items() if n]
            show_table("outcome values", outcomes)
            if found.stale:
                show_table("cache key digest", found.stale)
            else:
                click.echo("No stale values")
            if not found.is_complete:
                click.echo(f"Only a part was compared: --limit {limit}")
        ctx.exit(1 if found.stale else 0)

    @commands.command("stats", example="cache stats --budget 1000")
    @budget
    @as_json
    def stats(budget: int, as_json: bool) -> None:
        """Count the keys of each kind, and the reads that were hits since the service started.

        Only a part of a large database is read.
        """
        kinds = operations.stats(seen_counts(service), budget=budget)
        show_page(Page(kinds if as_json else [*map(_row, kinds)]), _COUNTED, as_json=as_json)

    return commands


def _row(kind: KindOfKey) -> Mapping[str, object]:
    ratio = "" if kind.hit_ratio is None else f"{kind.hit_ratio:.1%}"
    return {**asdict(kind), "hit_ratio": ratio}
