"""Acts on any number of rows."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, select

from ..db import Act, Actor, Audit, Database
from ..jobs import JobRow

_BATCH = 100  # rows of a transaction


class BulkAct:
    """An act on rows, in transactions of a hundred. Its entry in the audit log counts them.

    The count is right after each COMMIT, also if the process dies between two.
    """

    def __init__(self, database: Database, audit: Audit, actor: Actor, act: Act) -> None:
        self._database = database
        self._audit = audit
        self._actor = actor
        self._act = act
        self._entry: int | None = None
        self.count = 0
        """How many rows it has changed."""

    def change(
        self,
        model: type[JobRow],
        conditions: Iterable[ColumnElement[bool]],
        change: Callable[[Any], None],
        after: Callable[[], None],
    ) -> None:
        """Change the rows that meet the conditions, the oldest first. `after` follows each COMMIT.

        None is changed twice, whatever becomes of it meanwhile.
        """
        found = select(model).where(*conditions).order_by(model.id).limit(_BATCH)
        last_id = 0
        while True:
            with self._database.begin() as tx:
                rows = tx.scalars(found.where(model.id > last_id).with_for_update()).all()
                for row in rows:
                    change(row)
                if rows:
                    self._record(tx, len(rows))
            if not rows:
                return
            self.count, last_id = self.count + len(rows), rows[-1].id
            after()

    def _record(self, tx: Any, count: int) -> None:
        if self._entry is None:
            self._entry = self._audit.record(tx, self._actor, self._act, count=count)
        else:
            self._audit.count_more(tx, self._entry, count)
