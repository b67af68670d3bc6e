"""Records of invalidations: a row in each transaction that changes cached values.

A writer removes cached values itself, around its COMMIT. The record is for a writer that dies
before it has, or cannot reach Redis: every process sweeps records that are left pending. And a
Redis that crashed may have lost removals that it had acknowledged: the first connection to a
restarted server repeats the records of the last minute.
"""

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import (
    Cache,
    RedisClient,
    RedisLayerError,
    RestartDetector,
    Revocation,
    SendCommand,
    SessionStore,
    keys,
)
from .cached_rows import PendingInvalidations
from .engines import open_engine, read_only
from .types import Base, Transaction, UtcDateTime

logger = logging.getLogger(__name__)

RECORDS = sa.Table(
    "cache_invalidations",
    Base.metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("keys", sa.Text, nullable=False),  # a JSON array
    sa.Column("revocations", sa.Text, nullable=False),  # a JSON array of objects
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime, index=True),
)

_INSERT = sa.insert(RECORDS).returning(RECORDS.c.id)  # compiled once, not for each commit

_SWEEP_INTERVAL = 1.0  # seconds
_PENDING_FOR = timedelta(seconds=1)  # after that the writer counts as dead or cut off
_KEPT_FOR = timedelta(seconds=60)  # longer than the writes that a crashed Redis may have lost
_SWEEPS_PER_PURGE = 15
_BATCH = 500  # records
_WRITE_TIMEOUT = 0.2  # seconds, on SQLite: if others write, the next sweep tries again


class Invalidations:
    """The records of a database, and a thread that sweeps those that are left pending.

    The thread starts when a process first uses Redis or a record. It has its own SQL connections,
    because all connections of the requests may be waiting for Redis.
    """

    def __init__(self, url: str, cache: Cache, sessions: SessionStore | None) -> None:
        self._url = url
        self._cache = cache
        self._sessions = sessions
        self._applied: deque[int] = deque()
        self._closing = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._engine: sa.Engine | None = None
        self._pid = os.getpid()
        self._restarts = {cache.client: self._detect_restarts(cache.client, keys.CACHE_MARKER)}
        if sessions is not None and sessions.client is not cache.client:
            client = sessions.client
            self._restarts[client] = self._detect_restarts(client, keys.SESSIONS_MARKER)

    # --- for writers ---

    def record(self, tx: Transaction, pending: PendingInvalidations) -> int:
        """Insert a record into the transaction and return its id."""
        self._ensure_sweeper()
        values = {
            "keys": json.dumps(sorted(pending.keys)),
            "revocations": json.dumps([asdict(each) for each in pending.revocations]),
            "created_at": datetime.now(UTC),
        }
        return int(tx.execute(_INSERT, values).scalar_one())

    def mark_done(self, record_id: int) -> None:
        """Mark a record as done. This is written with the next sweep, in one batch."""
        self._applied.append(record_id)

    def is_done(self, record_id: int) -> bool:
        """Whether a record is marked as done in SQL, by any process."""
        query = sa.select(RECORDS.c.done_at).where(RECORDS.c.id == record_id)
        with read_only(self._own_engine()).connect() as connection:
            found = connection.execute(query).first()
        return found is None or found.done_at is not None

    # --- for every process ---

    def sweep(self) -> int:
        """Apply pending records in place of their writers; return how many were pending.

        Raises RedisUnavailable, RedisPoolExhausted and SQLAlchemyError.
        """
        applied = set(self._applied.copy())  # not yet marked in SQL
        pending_since = datetime.now(UTC) - _PENDING_FOR
        query = (
            sa.select(RECORDS)
            .where(RECORDS.c.done_at.is_(None), RECORDS.c.created_at < pending_since)
            .order_by(RECORDS.c.id)
            .limit(_BATCH)
        )
        with read_only(self._own_engine()).connect() as connection:
            pending = connection.execute(query).all()
        found = [record for record in pending if record.id not in applied]
        if found:
            self._cache.invalidate(*_keys_of(found))
            self._revoke(found)
            self._applied.extend(record.id for record in found)
            logger.info("Applied %d invalidations that had not reached Redis", len(found))
        # Last, because it may fail: the removal must not wait for other writers.
        self._write_done()
        return len(pending)

    def purge(self) -> None:
        """Delete records that were done a while ago, unless Redis may have lost them."""
        before = datetime.now(UTC) - _KEPT_FOR
        if not all(restarts.is_marked(client) for client, restarts in self._restarts.items()):
            return
        with self._own_engine().begin() as connection:
            connection.execute(sa.delete(RECORDS).where(RECORDS.c.done_at < before))

    def close(self) -> None:
        """Stop the thread and write which records are done."""
        self._closing.set()
        if self._sweeper is not None and self._sweeper.is_alive():
            self._sweeper.join()
        with suppress(SQLAlchemyError):
            self._write_done()
        if self._engine is not None:
            self._engine.dispose()

    def _detect_restarts(self, client: RedisClient, marker: str) -> RestartDetector:
        detector = RestartDetector(marker)

        def check(send: SendCommand) -> None:
            self._ensure_sweeper()
            detector.check(send, self._replay)

        client.on_connect(check)
        return detector

    def _replay(self, send: SendCommand) -> None:
        """Apply all records on one connection."""
        with read_only(self._own_engine()).connect() as connection:
            found = connection.execute(sa.select(RECORDS)).all()
        names = _keys_of(found)
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            send("UNLINK", *map(keys.lease, batch), *batch)
        self._revoke(found, send)
        if found:
            logger.info("Redis was restarted: repeated the last %d invalidations", len(found))

    def _revoke(self, found: Sequence[sa.Row[Any]], send: SendCommand | None = None) -> None:
        if self._sessions is not None:
            for record in found:
                for revocation in json.loads(record.revocations):
                    self._sessions.revoke_as(Revocation(**revocation), send)

    def _write_done(self) -> None:
        ids = [self._applied.popleft() for _ in range(len(self._applied))]
        if not ids:
            return
        done = sa.update(RECORDS).where(RECORDS.c.id.in_(ids)).values(done_at=datetime.now(UTC))
        try:
            with self._own_engine().begin() as connection:
                connection.execute(done)
        except SQLAlchemyError:
            self._applied.extend(ids)
            raise

    def _own_engine(self) -> sa.Engine:
        if self._engine is None:
            self._engine = open_engine(self._url, pool_size=2, write_timeout=_WRITE_TIMEOUT)
        return self._engine

    def _ensure_sweeper(self) -> None:
        if self._pid != os.getpid():  # a fork does not copy the thread
            self._pid, self._sweeper, self._engine = os.getpid(), None, None
        if self._sweeper is None and not self._closing.is_set():
            self._sweeper = threading.Thread(target=self._run, name="cache-sweeper", daemon=True)
            self._sweeper.start()

    def _run(self) -> None:
        for number in count(1):
            if self._closing.wait(_SWEEP_INTERVAL):
                return
            try:
                while self.sweep() == _BATCH:
                    pass
                if number % _SWEEPS_PER_PURGE == 0:
                    self.purge()
            except (RedisLayerError, SQLAlchemyError) as error:  # others log the outage
                logger.debug("The sweep is postponed: %s", error)
            except Exception:
                logger.exception("The sweep failed; the next one follows")


def _keys_of(records: Sequence[sa.Row[Any]]) -> list[str]:
    return sorted({key for record in records for key in json.loads(record.keys)})
