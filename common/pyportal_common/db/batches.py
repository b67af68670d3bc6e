"""Deleting any number of rows without holding the lock of SQLite's one writer for long."""

import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Table, delete, inspect, select, tuple_

from .database import Database

_ROWS = 200
_BATCHES = 100
_PAUSE_SECONDS = 0.01  # for other writers to begin


def delete_in_batches(
    database: Database,
    model: type[Any] | Table,
    *conditions: ColumnElement[bool],
    rows: int = _ROWS,
) -> int:
    """Delete rows in transactions of `rows` rows each. Returns how many it deleted.

    At most a hundred transactions; the rest is left to the next call. For rows that no cached value
    contains. The conditions need an index.
    """
    return sum(_batches(database, model, conditions, rows))


def _batches(
    database: Database,
    model: type[Any] | Table,
    conditions: tuple[ColumnElement[bool], ...],
    rows: int,
) -> Iterator[int]:
    keys: Any = tuple(inspect(model).primary_key)
    key = keys[0] if len(keys) == 1 else tuple_(*keys)
    statement = delete(model).where(key.in_(select(*keys).where(*conditions).limit(rows)))
    options = {"cache_keys": (), "synchronize_session": False}
    for number in range(_BATCHES):
        if number:
            time.sleep(_PAUSE_SECONDS)
        with database.begin() as tx:
            result = tx.execute(statement, execution_options=options)
            deleted = result.rowcount if isinstance(result, CursorResult) else 0
        yield deleted
        if deleted < rows:
            return
