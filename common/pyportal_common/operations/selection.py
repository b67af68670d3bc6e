"""Rows of jobs that a filter selects, found in bounded steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from ..db import Database, Transaction
from ..db.pages import made_between
from ..jobs import JobRow

_EXAMINED = 10_000  # rows of a step


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that meet all conditions. Those in `indexed` have an index, with the id.

    Or they are bounds of the id, and of the time, which ascends with it. A step reads at most
    10,000 rows that meet these, whatever the others select.
    """

    model: type[JobRow]
    indexed: Sequence[ColumnElement[bool]]
    others: Sequence[ColumnElement[bool]] = ()

    @classmethod
    def of(
        cls, database: Database, model: type[JobRow], *indexed: ColumnElement[bool], wanted: Any
    ) -> "Selection":
        """The rows that were created as the filter `wanted` says, with its text in their error."""
        others = []
        if wanted.error is not None:
            others.append(model.error.icontains(wanted.error, autoescape=True))
        if wanted.since is not None or wanted.until is not None:
            with database.read() as tx:  # a range of ids, and a minute more at both ends
                indexed += tuple(_created(tx, model, wanted.since, wanted.until))
        return cls(model, indexed, others)

    def where(self, *others: ColumnElement[bool]) -> "Selection":
        """Those of the rows that also meet these conditions, which need no index."""
        return replace(self, others=(*self.others, *others))

    def page(self, tx: Transaction, below: int, limit: int) -> tuple[Sequence[Any], str | None]:
        """The newest rows below an id, and the cursor of the next page, which may be empty."""
        model = self.model
        found = select(model).where(*self.indexed, model.id < below).order_by(model.id.desc())
        lowest = self._examined(tx, found)
        if lowest is not None:
            found = found.where(model.id >= lowest)
        rows = tx.scalars(found.where(*self.others).limit(limit + 1)).all()
        if len(rows) > limit:
            return rows[:limit], str(rows[limit - 1].id)
        return rows, None if lowest is None else str(lowest)

    def batch(self, tx: Transaction, after: int, limit: int) -> tuple[Sequence[Any], int | None]:
        """The oldest rows above an id, locked, and the id to go on from, if there may be more."""
        model = self.model
        found = select(model).where(*self.indexed, model.id > after).order_by(model.id)
        highest = self._examined(tx, found)
        if highest is not None:
            found = found.where(model.id <= highest)
        rows = tx.scalars(found.where(*self.others).limit(limit).with_for_update()).all()
        return rows, rows[-1].id if len(rows) == limit else highest

    def count(self, tx: Transaction) -> int:
        """How many rows there are. This reads all that meet the `indexed` conditions."""
        return tx.scalar(select(func.count()).where(*self.indexed, *self.others)) or 0

    def _examined(self, tx: Transaction, found: Any) -> int | None:
        """The id of the last row of this step, if there may be more."""
        if not self.others:  # then no row is read in vain
            return None
        last = found.with_only_columns(self.model.id).offset(_EXAMINED - 1).limit(1)
        last_id: int | None = tx.scalar(last)
        return last_id


def _created(
    tx: Transaction, model: type[JobRow], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    return list(made_between(tx, model.id, model.created_at, since, until))
