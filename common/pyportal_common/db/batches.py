"""Deleting any number of rows in short transactions, so that others write meanwhile."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Delete, Table, delete, inspect, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from .cached_rows import CachedRow
from .database import Database
from .types import Transaction

_ROWS = 200
_LONGEST_SECONDS = 30.0  # of a call of delete_in_batches
_LONGEST_WALK_SECONDS = 50 * 60.0  # a schedule may take an hour
_STEPS_AHEAD = 5  # that a walk goes on without old rows: a clock may have been ahead for a while
_PAUSE_SECONDS = 0.01  # for other writers to begin


def delete_in_batches(
    database: Database,
    model: type[Any] | Table,
    *conditions: ColumnElement[bool],
    referring: InstrumentedAttribute[Any] | None = None,
    rows: int = _ROWS,
) -> int:
    """Delete rows in transactions of `rows` rows each. Returns how many it deleted.

    For half a minute at most; the rest is left to the next call. For rows that no cached value
    contains. The conditions need an index. If they are about rows that refer to these by the column
    `referring`, those are locked before the conditions decide.
    """
    return sum(_batches(database, model, conditions, referring, rows))


def _batches(
    database: Database,
    model: type[Any] | Table,
    conditions: tuple[ColumnElement[bool], ...],
    referring: InstrumentedAttribute[Any] | None,
    rows: int,
) -> Iterator[int]:
    keys: Any = tuple(inspect(model).primary_key)
    key = keys[0] if len(keys) == 1 else tuple_(*keys)
    chosen: Any = select(*keys).where(*conditions).limit(rows)
    until = time.monotonic() + _LONGEST_SECONDS
    while True:
        with database.begin() as tx:
            found = chosen
            if referring is not None:
                found = tx.scalars(chosen).all()
                held = select(referring).where(referring.in_(found)).order_by(referring)
                tx.execute(held.with_for_update())
            # The conditions once more, for rows that another transaction has changed since.
            deleted = _execute(tx, delete(model).where(key.in_(found), *conditions))
        yield deleted
        if deleted < rows or time.monotonic() >= until:
            return
        time.sleep(_PAUSE_SECONDS)


def delete_created_before(
    database: Database,
    model: type[CachedRow],
    before: datetime,
    *conditions: ColumnElement[bool],
    referring: Sequence[InstrumentedAttribute[int]] = (),
    rows: int = _ROWS,
    longest_seconds: float = _LONGEST_WALK_SECONDS,
) -> int:
    """Delete the rows that were created before a time and meet the conditions, the oldest first.

    Their cached values are invalidated, and rows that refer to them by a column in `referring` are
    deleted first. Returns how many it deleted, without these.

    It walks along the ids, with which `created_at` ascends, and so needs no other index: it reads
    `rows` rows at a time, and deletes in transactions of so many. It ends after a few steps in
    which no row is old. A row that another transaction has locked is left to the next call. So is
    the rest after `longest_seconds`, or if the process dies.
    """
    deleted, until = 0, time.monotonic() + longest_seconds
    for found in _walk(database, model, before, conditions, rows):
        deleted += _delete(database, model, (_id_column(model).in_(found), *conditions), referring)
        if time.monotonic() >= until:
            break
        time.sleep(_PAUSE_SECONDS)
    return deleted


def _id_column(model: type[Any]) -> InstrumentedAttribute[int]:
    found: InstrumentedAttribute[int] = model.id
    return found


def _walk(
    database: Database,
    model: type[Any],
    before: datetime,
    conditions: Iterable[ColumnElement[bool]],
    rows: int,
) -> Iterator[Sequence[int]]:
    """The ids to delete, of each step of `rows` rows in which there are any."""
    last, ids, steps_ahead = -1, _id_column(model), 0
    while steps_ahead < _STEPS_AHEAD:
        step = select(ids, model.created_at).where(ids > last).order_by(ids).limit(rows)
        with database.read() as tx:
            read = tx.execute(step).all()
            old = [row[0] for row in read if row[1] < before]
            found = tx.scalars(select(ids).where(ids.in_(old), *conditions)).all() if old else []
        if not read:
            return
        if found:
            yield found
        steps_ahead = 0 if old else steps_ahead + 1
        last = read[-1][0]


def _delete(
    database: Database,
    model: type[CachedRow],
    conditions: tuple[ColumnElement[bool], ...],
    referring: Sequence[InstrumentedAttribute[int]],
) -> int:
    ids, table = _id_column(model), inspect(model).local_table
    locked = select(*table.c).where(*conditions).with_for_update(skip_locked=True)
    with database.begin() as tx:
        found = [row._asdict() for row in tx.execute(locked)]
        deleted = [row["id"] for row in found]
        keys = {key for row in found for key in model.cache_keys(row)}
        for column in referring:
            _execute(tx, delete(column.class_).where(column.in_(deleted)))
        _execute(tx, delete(model).where(ids.in_(deleted)), keys)
    return len(found)


def _execute(tx: Transaction, statement: Delete, keys: Iterable[str] = ()) -> int:
    """Execute it. Returns how many rows it deleted."""
    options = {"cache_keys": tuple(keys), "synchronize_session": False}
    result = tx.execute(statement, execution_options=options)
    return result.rowcount if isinstance(result, CursorResult) else 0
