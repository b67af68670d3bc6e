"""Acts on any number of rows."""

from collections.abc import Callable
from typing import Any

from ..db import Act, Actor, Audit, Database
from .selection import Selection

_BATCH = 100  # rows of a transaction


class BulkAct:
    """An act on rows, in transactions of a hundred. Its entry in the audit log counts them.

    The count is right after each COMMIT, also if the process dies between two.
    """

    def __init__(
        self,
        database: Database,
        audit: Audit,
        actor: Actor,
        act: Act,
        *,
        at_most: int | None = None,
    ) -> None:
        self._at_most = at_most
        self._database = database
        self._audit = audit
        self._actor = actor
        self._act = act
        self._entry: int | None = None
        self.count = 0
        """How many rows it has changed."""

    def change(
        self, selection: Selection, change: Callable[[Any], None], after: Callable[[], None]
    ) -> None:
        """Change the selected rows, the oldest first. `after` follows each COMMIT of changes.

        None is changed twice, whatever becomes of it meanwhile. Ends when it has changed `at_most`
        rows.
        """
        last_id: int | None = 0
        while last_id is not None and (batch := self._next_batch()):
            with self._database.begin() as tx:
                rows, last_id = selection.batch(tx, last_id, batch)
                for row in rows:
                    change(row)
                if rows:
                    self._record(tx, len(rows))
            if rows:
                self.count += len(rows)
                after()

    def _next_batch(self) -> int:
        return _BATCH if self._at_most is None else min(_BATCH, self._at_most - self.count)

    def _record(self, tx: Any, count: int) -> None:
        if self._entry is None:
            self._entry = self._audit.record(tx, self._actor, self._act, count=count)
        else:
            self._audit.count_more(tx, self._entry, count)
