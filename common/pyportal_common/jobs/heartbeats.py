"""Heartbeats: a row for each worker process, which says when it was last alive.

They are in SQL, because SQL is what the jobs are in, and Redis may be unavailable.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from ..db import Database, Transaction, UtcDateTime

KEPT_FOR = timedelta(minutes=5)
"""A silent worker is forgotten after this time."""

_BEATS = 3  # until a worker counts as silent

WORKERS = sa.Table(
    "workers",
    sa.MetaData(),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("beat_at", UtcDateTime, nullable=False),
    sa.Column("report", sa.Text),  # see worker_reports.py
)


def add_workers_table(metadata: sa.MetaData) -> None:
    """Add the table to those of a service that has workers, for its migrations and its tests."""
    if WORKERS.name not in metadata.tables:
        WORKERS.to_metadata(metadata)


class Heartbeat:
    """The heartbeat of this process, which counts as silent after `silent_seconds` without one."""

    def __init__(self, database: Database, *, silent_seconds: float) -> None:
        self._database = database
        self._interval = silent_seconds / _BEATS
        self._values = {
            "id": secrets.token_hex(16),
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
        }
        self._began = time.monotonic()
        self._next = 0.0

    def beat(self, report: Callable[[], str] | None = None) -> None:
        """Store that the process is alive, and its report, unless that was done a moment ago.

        The first one replaces the rows of processes of this host that have died. Raises
        SQLAlchemyError.
        """
        if time.monotonic() < self._next:
            return
        with self._database.begin() as tx:
            now = self._database.now()
            news = {"beat_at": now, "report": None if report is None else report()}
            mine = sa.update(WORKERS).where(WORKERS.c.id == self._values["id"])
            known = tx.scalar(mine.values(news).returning(WORKERS.c.id))
            if known is None:
                tx.execute(sa.delete(WORKERS).where(WORKERS.c.id.in_(self._dead(tx))))
                began = now - timedelta(seconds=time.monotonic() - self._began)
                values = self._values | news | {"started_at": began}
                tx.execute(sa.insert(WORKERS).values(values))
            tx.execute(sa.delete(WORKERS).where(WORKERS.c.beat_at < now - KEPT_FOR))
        self._next = time.monotonic() + self._interval

    def end(self) -> None:
        """Delete the row of this process, which stops. Raises SQLAlchemyError."""
        with self._database.begin() as tx:
            tx.execute(sa.delete(WORKERS).where(WORKERS.c.id == self._values["id"]))

    def _dead(self, tx: Transaction) -> list[str]:
        """The ids of this host's workers whose process has ended.

        A process with our own process id was one before the container was restarted.
        """
        query = sa.select(WORKERS.c.id, WORKERS.c.pid)
        rows = tx.execute(query.where(WORKERS.c.host == self._values["host"])).all()
        return [row.id for row in rows if row.pid == self._values["pid"] or not _exists(row.pid)]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another account
    return True
