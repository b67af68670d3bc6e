"""Applies the records of invalidations that their writers could not apply.

A writer removes cached values itself, around its COMMIT. The record is for a writer that dies
before it has, or cannot reach Redis: every process sweeps records that are left pending, and
removes their keys before it trusts Redis. And a Redis that crashed may have lost removals that it
had acknowledged: the first connection to a restarted server repeats the records of the last minute.
"""

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import (
    Cache,
    RedisLayerError,
    RedisRefused,
    RestartDetector,
    SendCommand,
    SessionStore,
    Trust,
    keys,
)
from .cached_rows import PendingInvalidations
from .pending import PendingRemovals
from .records import Record, Records
from .types import Transaction

logger = logging.getLogger(__name__)

_SWEEP_INTERVAL = 1.0  # seconds
_MARK_INTERVAL = 0.1  # seconds
_PENDING_FOR = timedelta(seconds=1)  # after that the writer counts as dead or cut off
_KEPT_FOR = timedelta(seconds=60)  # longer than the writes that a crashed Redis may have lost
_SWEEPS_PER_PURGE = 15
_BATCH = 500  # records of a sweep
_KEYS_PER_COMMAND = 100


class UnreadableRecord(Exception):
    """A record of another release that this one does not understand."""


class Invalidations:
    """The records of a database, a thread that sweeps them, and the trust that depends on them.

    The thread starts when a process first uses Redis or a record.
    """

    def __init__(
        self, url: str, cache: Cache, sessions: SessionStore | None, *, trust_seconds: float
    ) -> None:
        self.records = Records(url)
        self.failing = 0
        """How many records could not be applied, as of the last sweep of this process."""
        self._cache = cache
        self._sessions = sessions
        self._applied: deque[int] = deque()  # not yet marked as done in SQL
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._renewal_requested = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._pending = PendingRemovals(
            self.records, self._applied.copy, timeout_seconds=0.4 * trust_seconds
        )
        self.trust = Trust(
            cache.client,
            seconds=trust_seconds,
            read_pending=self._pending.read,
            on_removed=self._pending.mark_removed,
            renew_soon=self._request_renewal,
        )
        cache.client.require_trust(self.trust.allows)
        self._cache_restarts = RestartDetector(keys.CACHE_MARKER, settle_seconds=trust_seconds)
        self._restarts = {cache.client: self._cache_restarts}
        if sessions is not None and sessions.client is not cache.client:
            self._restarts[sessions.client] = RestartDetector(keys.SESSIONS_MARKER)
        for client, restarts in self._restarts.items():
            client.on_connect(partial(self._check_restart, restarts))

    # --- for writers ---

    def record(self, tx: Transaction, pending: PendingInvalidations) -> int:
        """Insert a record into the transaction and return its id."""
        self._ensure_thread()
        return self.records.insert(tx, pending)

    @property
    def settled_at(self) -> float:
        """From when on, by time.monotonic(), no process trusts a server that was replaced."""
        return self._cache_restarts.changed_until

    def mark_done(self, record_id: int) -> None:
        """Mark a record as done. This is written within 100 ms, in one batch."""
        self._applied.append(record_id)
        self._wake.set()

    # --- for every process ---

    def sweep(self) -> int:
        """Apply pending records in place of their writers; return how many were found.

        One that fails is set aside and does not stop the others. Raises RedisLayerError in an
        outage, and SQLAlchemyError.
        """
        self._cache.client.breaker.check()
        due = self.records.due(_PENDING_FOR, _BATCH)
        applied = set(self._applied.copy())
        failures: dict[int, str] = {}
        for record in due:
            if record.id in applied:
                continue
            try:
                self._apply(record)
            except (RedisRefused, UnreadableRecord) as error:
                _note_failure(failures, record, error)
            else:
                self._applied.append(record.id)
        self._set_aside(failures)
        if len(due) > len(failures):
            logger.info("Applied %d invalidations that had not reached Redis", len(due))
        return len(due)

    def purge(self) -> None:
        """Delete records that were done a while ago, unless Redis may have lost them."""
        unmarked = [
            client for client, restarts in self._restarts.items() if not restarts.is_marked(client)
        ]
        for client in unmarked:
            client.close()  # the next connection repeats the records and sets the marker
        if not unmarked:
            self.records.delete_done(_KEPT_FOR)

    def close(self) -> None:
        """Stop the thread and write which records are done."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        with suppress(SQLAlchemyError):
            self._write_done()
        self._pending.close()
        self.records.close()

    # --- restarts of Redis ---

    def _check_restart(self, restarts: RestartDetector, send: SendCommand) -> None:
        """On each new connection."""
        self._ensure_thread()
        restarts.check(send, self._replay)

    def _replay(self, send: SendCommand) -> None:
        """Apply all records on one connection. One that fails is set aside."""
        records = self.records.all()
        failures: dict[int, str] = {}
        for record in records:
            try:
                _check(record)
                for start in range(0, len(record.keys), _KEYS_PER_COMMAND):
                    batch = record.keys[start : start + _KEYS_PER_COMMAND]
                    send("UNLINK", *map(keys.lease, batch), *batch)
                self._revoke(record, send)
            except (RedisRefused, UnreadableRecord) as error:
                _note_failure(failures, record, error)
        self._set_aside(failures)
        if records:
            logger.info("Redis was restarted: repeated the last %d invalidations", len(records))

    # --- one record ---

    def _apply(self, record: Record) -> None:
        _check(record)
        if not self._pending.is_removed(record.id):
            self._cache.invalidate(*record.keys)
        self._revoke(record)

    def _revoke(self, record: Record, send: SendCommand | None = None) -> None:
        if self._sessions is not None:
            for revocation in record.revocations:
                self._sessions.revoke_as(revocation, send)

    def _set_aside(self, failures: dict[int, str]) -> None:
        """Store why records failed. Log when records begin and cease to fail."""
        if failures:
            self.records.mark_failed(failures)
            if not self.failing:
                number, reason = next(iter(failures.items()))
                logger.error(
                    "Redis refuses %d invalidations, which are retried. Record %d: %s",
                    len(failures),
                    number,
                    reason,
                )
        if failures or self.failing:
            self._count_failing()

    def _count_failing(self) -> None:
        before, self.failing = self.failing, len(self.records.failing(_BATCH))
        self._cache.client.observer.failing_invalidations(self.failing)
        if before and not self.failing:
            logger.warning("Redis has accepted all invalidations that it had refused")

    def _write_done(self) -> None:
        ids = list(self._applied.copy())
        if ids:
            self.records.mark_done(ids)
        for _ in ids:  # only now, because renewals of trust skip them
            self._applied.popleft()

    # --- the thread ---

    def _request_renewal(self) -> None:
        if not self._renewal_requested:
            self._renewal_requested = True
            self._wake.set()

    def _ensure_thread(self) -> None:
        if self._pid != os.getpid():  # a fork does not copy the thread
            self._pid, self._thread = os.getpid(), None
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name="cache-sweeper", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        sweeps = 0
        next_sweep, next_mark = time.monotonic() + _SWEEP_INTERVAL, 0.0
        while not self._closing.is_set():
            until = min(next_sweep, next_mark if self._applied else math.inf)
            self._wake.wait(max(0.0, until - time.monotonic()))
            self._wake.clear()
            now = time.monotonic()
            if self._renewal_requested:
                self._attempt(self._renew)
            if self._applied and now >= next_mark:
                self._attempt(self._write_done)
                next_mark = now + _MARK_INTERVAL
            if now >= next_sweep:
                sweeps += 1
                self._attempt(self._sweep_all)
                if sweeps % _SWEEPS_PER_PURGE == 0:
                    self._attempt(self.purge)
                    self._attempt(self._count_failing)
                next_sweep = time.monotonic() + _SWEEP_INTERVAL

    def _attempt(self, task: Callable[[], object]) -> None:
        try:
            task()
        except (RedisLayerError, SQLAlchemyError) as error:  # others log the outage
            logger.debug("Upkeep of the cache is postponed: %s", error)
        except Exception:
            logger.exception("Upkeep of the cache failed; it is tried again")

    def _renew(self) -> None:
        self._renewal_requested = False
        self.trust.renew()

    def _sweep_all(self) -> None:
        while self.sweep() == _BATCH:
            pass


def _check(record: Record) -> None:
    if not record.is_readable:
        raise UnreadableRecord("written by another release")


def _note_failure(failures: dict[int, str], record: Record, error: Exception) -> None:
    """Note why a record failed, unless the server refuses every write at the moment."""
    if isinstance(error, RedisRefused) and error.is_of_all_writes:
        raise error
    failures[record.id] = str(error)
