"""Rows of SQL, read past the services."""

from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import JSON, Connection, column, select, table

Row = TypeVar("Row")


def read_rows(connection: Connection, name: str, row: type[Row]) -> list[Row]:
    """All rows of a table: the columns that the dataclass `row` names, ordered by the first."""
    columns: list[Any] = [
        column(field.name, JSON if field.type == dict[str, Any] else None)
        for field in fields(row)  # type: ignore[arg-type]  # a dataclass
    ]
    found = connection.execute(select(*columns).select_from(table(name)).order_by(columns[0]))
    return [row(*values) for values in found]
