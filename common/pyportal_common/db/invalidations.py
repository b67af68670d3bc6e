"""Invalidations that nothing loses: each is a row of the transaction that causes it.

A writer removes cached values itself, around its COMMIT. Its record is for when it dies before it
has, or cannot reach Redis: every process sweeps what is left pending. And a Redis that crashed may
have forgotten removals that it had acknowledged: whoever connects to one that has started anew
first does again what the records of the last minute say.
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

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    Row,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
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

RECORDS = Table(
    "cache_invalidations",
    Base.metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("keys", Text, nullable=False),  # a JSON array
    Column("revocations", Text, nullable=False),  # likewise, of objects
    Column("created_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime, index=True),
)

_RECORD = insert(RECORDS).returning(RECORDS.c.id)  # made once, and not for each commit

_SWEEP_EVERY = 1.0  # seconds
_PENDING_FOR = timedelta(seconds=1)  # then its writer is taken for dead, or cut off
_KEPT_FOR = timedelta(seconds=60)  # longer than a crashed Redis can have forgotten
_PURGE_EVERY = 15  # sweeps
_AT_ONCE = 500  # records
_TURN = 0.2  # seconds to wait for others that write, on SQLite: the next sweep tries again


class Invalidations:
    """The records of one database, and a thread that sees to those that are left pending.

    The thread starts with the first use of Redis or of a record in a process. It has connections of
    its own: those of the requests may all be waiting for Redis.
    """

    def __init__(self, url: str, cache: Cache, sessions: SessionStore | None) -> None:
        self._url = url
        self._cache = cache
        self._sessions = sessions
        self._applied: deque[int] = deque()
        self._closing = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._engine: Engine | None = None
        self._pid = os.getpid()
        self._marker = self._attach(cache.client, keys.CACHE_MARKER)
        if sessions is not None and sessions.client is not cache.client:
            self._attach(sessions.client, keys.SESSIONS_MARKER)

    # --- for writers ---

    def record(self, tx: Transaction, notes: PendingInvalidations) -> int:
        """Write down, in the transaction, what Redis has to hear of; the record's id."""
        self._watch()
        values = {
            "keys": json.dumps(sorted(notes.keys)),
            "revocations": json.dumps([asdict(each) for each in notes.revocations]),
            "created_at": datetime.now(UTC),
        }
        return int(tx.execute(_RECORD, values).scalar_one())

    def done(self, record_id: int) -> None:
        """Redis has heard of it. That is written with the next sweep, many at once."""
        self._applied.append(record_id)

    def is_done(self, record_id: int) -> bool:
        """Whether somebody has written that."""
        with read_only(self._own_engine()).connect() as connection:
            found = connection.execute(
                select(RECORDS.c.done_at).where(RECORDS.c.id == record_id)
            ).first()
        return found is None or found.done_at is not None

    # --- for all ---

    def sweep(self) -> int:
        """Do what pending records say, as their writers have not; how many were pending.

        Raises RedisUnavailable, RedisPoolExhausted and SQLAlchemyError.
        """
        applied = set(self._applied.copy())  # but not yet written
        with read_only(self._own_engine()).connect() as connection:
            pending = connection.execute(
                select(RECORDS)
                .where(
                    RECORDS.c.done_at.is_(None),
                    RECORDS.c.created_at < datetime.now(UTC) - _PENDING_FOR,
                )
                .order_by(RECORDS.c.id)
                .limit(_AT_ONCE)
            ).all()
        found = [record for record in pending if record.id not in applied]
        if found:
            self._cache.invalidate(*_keys_of(found))
            self._revoke(found)
            self._applied.extend(record.id for record in found)
            logger.info("Made up for %d invalidations that Redis had not heard of", len(found))
        # Last, because it may fail: the above must not wait for others that write.
        self._write_what_is_done()
        return len(pending)

    def purge(self) -> None:
        """Forget what was done a while ago, unless Redis may have forgotten it."""
        before = datetime.now(UTC) - _KEPT_FOR
        if not self._marker.is_known(self._cache.client):
            return
        with self._own_engine().begin() as connection:
            connection.execute(delete(RECORDS).where(RECORDS.c.done_at < before))

    def close(self) -> None:
        """Stop the thread, after it has written what is done."""
        self._closing.set()
        if self._sweeper is not None and self._sweeper.is_alive():
            self._sweeper.join()
        with suppress(SQLAlchemyError):
            self._write_what_is_done()
        if self._engine is not None:
            self._engine.dispose()

    def _attach(self, client: RedisClient, key: str) -> RestartDetector:
        marker = RestartDetector(key)

        def greet(exchange: SendCommand) -> None:
            self._watch()
            marker.greet(exchange, self._replay)

        client.on_connect(greet)
        return marker

    def _replay(self, exchange: SendCommand) -> None:
        """Remove and revoke, over this one connection, all that the records say."""
        with read_only(self._own_engine()).connect() as connection:
            found = connection.execute(select(RECORDS)).all()
        values = _keys_of(found)
        for start in range(0, len(values), _AT_ONCE):
            some = values[start : start + _AT_ONCE]
            exchange("UNLINK", *map(keys.lease, some), *some)
        self._revoke(found, exchange)
        if found:
            logger.info("Redis has started anew: repeated the last %d invalidations", len(found))

    def _revoke(self, found: Sequence[Row[Any]], exchange: SendCommand | None = None) -> None:
        if self._sessions is not None:
            for revocation in _revocations_of(found):
                self._sessions.revoke_as(revocation, exchange)

    def _write_what_is_done(self) -> None:
        ids = [self._applied.popleft() for _ in range(len(self._applied))]
        if not ids:
            return
        try:
            with self._own_engine().begin() as connection:
                done = update(RECORDS).where(RECORDS.c.id.in_(ids))
                connection.execute(done.values(done_at=datetime.now(UTC)))
        except SQLAlchemyError:
            self._applied.extend(ids)
            raise

    def _own_engine(self) -> Engine:
        if self._engine is None:
            self._engine = open_engine(self._url, pool_size=2, turn_seconds=_TURN)
        return self._engine

    def _watch(self) -> None:
        if self._pid != os.getpid():  # the thread stayed in the parent of a fork
            self._pid, self._sweeper, self._engine = os.getpid(), None, None
        if self._sweeper is None and not self._closing.is_set():
            self._sweeper = threading.Thread(target=self._run, name="cache-sweeper", daemon=True)
            self._sweeper.start()

    def _run(self) -> None:
        for turn in count(1):
            if self._closing.wait(_SWEEP_EVERY):
                return
            try:
                while self.sweep() == _AT_ONCE:
                    pass
                if turn % _PURGE_EVERY == 0:
                    self.purge()
            except (RedisLayerError, SQLAlchemyError) as error:  # whoever needs them says so louder
                logger.debug("Sweeping waits: %s", error)
            except Exception:
                logger.exception("Sweeping failed, and goes on")


def _keys_of(records: Sequence[Row[Any]]) -> list[str]:
    return sorted({key for record in records for key in json.loads(record.keys)})


def _revocations_of(records: Sequence[Row[Any]]) -> list[Revocation]:
    return [Revocation(**each) for record in records for each in json.loads(record.revocations)]
