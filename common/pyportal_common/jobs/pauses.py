"""Kinds of jobs that are paused: no worker starts one of them until the kind is resumed."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ..db import Database, Transaction, UtcDateTime

logger = logging.getLogger(__name__)

_READ_EVERY_SECONDS = 1.0

PAUSES = sa.Table(
    "paused_kinds",
    sa.MetaData(),
    sa.Column("kind", sa.String(50), primary_key=True),
    sa.Column("paused_at", UtcDateTime, nullable=False),
    sa.Column("paused_by", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
)
_ALL = sa.select(PAUSES).order_by(PAUSES.c.kind)  # built once, not each second


@dataclass(frozen=True, slots=True)
class Pause:
    """A kind that is paused: since when, by whom, and why."""

    kind: str
    paused_at: datetime
    paused_by: str
    reason: str


class Pauses:
    """The paused kinds of a service. Every process reads them once a second.

    So a job of a kind may still start within a second of `pause`, and the first after `resume`
    waits as long. Running jobs finish.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: frozenset[str] = frozenset()
        self._read_again_at = float("-inf")

    def __call__(self) -> frozenset[str]:
        """The paused kinds, as they were within the last second.

        While SQL does not answer, those that were last read: nothing can be claimed then either.
        """
        with self._lock:
            if self._clock() >= self._read_again_at:
                try:
                    self._kinds = frozenset(pause.kind for pause in self.all())
                except SQLAlchemyError as error:
                    logger.debug("The paused kinds were not read: %s", error)
                self._read_again_at = self._clock() + _READ_EVERY_SECONDS
            return self._kinds

    def all(self) -> Sequence[Pause]:
        """Every paused kind, by name. Raises SQLAlchemyError."""
        with self._database.read() as tx:
            rows = tx.execute(_ALL).all()
        return [Pause(row.kind, row.paused_at, row.paused_by, row.reason) for row in rows]

    def pause(self, tx: Transaction, kind: str, *, by: str, reason: str = "") -> None:
        """Pause a kind in this transaction. The reason of one that is paused is replaced."""
        values = {"paused_by": by[:100], "reason": reason[:500]}
        known = sa.update(PAUSES).where(PAUSES.c.kind == kind).values(values)
        if tx.scalar(known.returning(PAUSES.c.kind)) is None:
            now = self._database.now()
            tx.execute(sa.insert(PAUSES).values(values | {"kind": kind, "paused_at": now}))

    def resume(self, tx: Transaction, kind: str) -> bool:
        """Resume a kind in this transaction. Whether it was paused."""
        resumed = sa.delete(PAUSES).where(PAUSES.c.kind == kind).returning(PAUSES.c.kind)
        return tx.scalar(resumed) is not None
