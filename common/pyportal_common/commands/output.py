"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from ..db import Page
from ..extras import requires

with requires("cli"):
    import click

_MAX_CELL = 100  # characters


def show_page(page: Page[Any], columns: str, *, as_json: bool) -> None:
    """Print a page of a list, and how to get the next one."""
    if as_json:
        show_json({"items": page.items, "next": page.next})
        return
    show_table(columns, page.items)
    if page.next is not None:
        click.echo(f"More: --cursor {page.next}")


def show_table(columns: str, items: Iterable[Any], *, longest: int = _MAX_CELL) -> None:
    """Print these attributes of items, a line for each item. Empty columns are left out.

    Values of more than `longest` characters are cut.
    """
    rows = [_values(item) for item in items]
    shown = [name for name in columns.split() if any(row[name] not in (None, "") for row in rows)]
    if not rows:
        click.echo("None")
        return
    names = [name.replace("_", " ") for name in shown]
    _print_table(names, [[row[name] for name in shown] for row in rows], longest)


def show_item(item: Any, *, as_json: bool) -> None:
    """Print one item, a line for each attribute that is set."""
    if as_json:
        show_json(item)
        return
    pairs = [(name, value) for name, value in _values(item).items() if value not in (None, "")]
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name.replace('_', ' '):<{width}}  {cell(value)}")


def show_json(value: Any) -> None:
    """Print a JSON document."""
    click.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def plural(noun: str, count: int) -> str:
    """A noun with its number: 1 task, 25,750 tasks."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _values(item: Any) -> Mapping[str, Any]:
    return item if isinstance(item, Mapping) else asdict(item)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def cell(value: Any, longest: int = _MAX_CELL) -> str:
    """A value in one line, without characters that change the terminal."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, Mapping):
        value = " ".join(f"{name}={cell(each)}" for name, each in value.items() if each != "")
    elif isinstance(value, list | tuple):
        value = ", ".join(map(cell, value))
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _print_table(names: Sequence[str], rows: Sequence[Sequence[Any]], longest: int) -> None:
    with requires("cli"):  # here, because web processes import this module, too
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, *values in zip(names, *rows, strict=True):
        numeric = all(value is None or isinstance(value, int | float) for value in values)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value, longest)) for value in row))
    wide = None if sys.stdout.isatty() else 1000  # lines of a pipe are not folded
    Console(width=wide, highlight=False).print(table)
