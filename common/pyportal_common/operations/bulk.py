"""Acts on the rows that a filter selects."""

from collections.abc import Callable, Sequence
from typing import Any

from ..db import Act, Actor, Audit, Database, Transaction
from .errors import NotFiltered
from .selection import Selection

_BATCH = 100  # rows of a transaction


class BulkAct:
    """An act on any number of rows. Its methods may raise SQLAlchemyError."""

    def __init__(
        self,
        database: Database,
        audit: Audit,
        act: Act,
        selections: Sequence[Selection],
        change: Callable[[Any], None],
        after: Callable[[], None],
        *,
        every: bool,
    ) -> None:
        """`change` changes a row. `after` follows each COMMIT.

        Raises NotFiltered unless there is either a filter or `every`, which means all rows.
        """
        if bool(act.filter) == every:
            raise NotFiltered
        self._database = database
        self._audit = audit
        self._act = act
        self._selections = selections
        self._change = change
        self._after = after

    def count(self) -> int:
        """How many rows it would change."""
        with self._database.read() as tx:
            return sum(each.count(tx) for each in self._selections)

    def run(self, actor: Actor, *, at_most: int | None = None) -> int:
        """Change the rows of each selection, the oldest first, up to `at_most`. Returns how many.

        A transaction for each hundred. None is changed twice, whatever becomes of it meanwhile.
        """
        entry = _Entry(self._audit, actor, self._act)
        for selection in self._selections:
            last_id: int | None = 0
            while last_id is not None and (batch := _next_batch(at_most, entry.count)):
                last_id = self._run_batch(selection, last_id, batch, entry)
        return entry.count

    def _run_batch(
        self, selection: Selection, last_id: int, batch: int, entry: "_Entry"
    ) -> int | None:
        with self._database.begin() as tx:
            rows, next_id = selection.batch(tx, last_id, batch)
            for row in rows:
                self._change(row)
            if rows:
                entry.add(tx, len(rows))
        if rows:
            self._after()
        return next_id


class _Entry:
    """The entry of an act in the audit log.

    Its count is right after each COMMIT, also if the process dies between two.
    """

    def __init__(self, audit: Audit, actor: Actor, act: Act) -> None:
        self._audit = audit
        self._actor = actor
        self._act = act
        self._id: int | None = None
        self.count = 0

    def add(self, tx: Transaction, count: int) -> None:
        """Count more rows. The first call records the act."""
        if self._id is None:
            self._id = self._audit.record(tx, self._actor, self._act, count=count)
        else:
            self._audit.count_more(tx, self._id, count)
        self.count += count


def _next_batch(at_most: int | None, count: int) -> int:
    return _BATCH if at_most is None else min(_BATCH, at_most - count)
