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
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import (
    Cache,
    PendingKeys,
    RedisLayerError,
    SessionStore,
    Trust,
)
from .applying import Applier
from .cached_rows import PendingInvalidations
from .pending import PendingRemovals
from .records import Records
from .replays import Replays

logger = logging.getLogger(__name__)

_SWEEP_INTERVAL = 1.0  # seconds
_MARK_INTERVAL = 0.1  # seconds
_PENDING_FOR = timedelta(seconds=1)  # after that the writer counts as dead or cut off
_KEPT_FOR = timedelta(seconds=60)  # longer than the writes that a crashed Redis may have lost
_SWEEPS_PER_PURGE = 15
_BATCH = 500  # records of a sweep
_REPORTED_EVERY = 10.0  # seconds


class Invalidations:
    """The records of a database, a thread that sweeps them, and the trust that depends on them.

    The thread starts when a process first uses Redis or a record.
    """

    def __init__(
        self,
        records: Records,
        cache: Cache,
        sessions: SessionStore | None,
        *,
        trust_seconds: float,
    ) -> None:
        self.records = records
        self._cache = cache
        self._sessions = sessions
        # A record is pending in SQL until it is marked as done there. These are applied (its values
        # are removed and its sessions are revoked) but not yet marked:
        self._applied: deque[int] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._renewal_requested = self._marks_soon = False
        self._reported_at = float("-inf")  # by time.monotonic()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._pending = PendingRemovals(
            self.records, self._applied.copy, timeout_seconds=0.4 * trust_seconds
        )
        self._applier = Applier(records, cache, sessions, self._pending)
        self.trust = Trust(
            cache.client,
            seconds=trust_seconds,
            read_pending=self._read_pending,
            on_removed=self._pending.mark_removed,
            renew_soon=self._request_renewal,
        )
        cache.client.require_trust(self.trust.allows)
        self._replays = Replays(
            self.records,
            self._applier,
            cache.client,
            sessions.client if sessions is not None else None,
            trust_seconds=trust_seconds,
            ensure_thread=self._ensure_thread,
            wake=self._wake.set,
        )

    @property
    def failing(self) -> int:
        """How many records could not be applied, as of the last sweep of this process."""
        return self._applier.failing

    # --- for writers ---

    def record(self, connection: Connection, pending: PendingInvalidations) -> int:
        """Insert a record into the transaction of a connection and return its id."""
        self._ensure_thread()
        return self.records.insert(connection, pending)

    @property
    def settled_at(self) -> float:
        """From when on, by time.monotonic(), no process uses a server that was replaced."""
        return self._replays.settled_at

    @property
    def has_sentinels(self) -> bool:
        """Whether another server may take the place of that of the cache."""
        return self._cache.client.master is not None

    def mark_done(self, record_id: int) -> None:
        """Mark a record as done. This is written within 100 ms, in one batch."""
        self._applied.append(record_id)
        if not self._marks_soon:  # one wake-up for all commits of the batch
            self._marks_soon = True
            self._wake.set()

    # --- for every process ---

    def sweep(self) -> int:
        """Apply the pending records of others; return how many were due, 500 at most.

        One that fails is set aside and does not stop the others. Raises RedisLayerError in an
        outage, and SQLAlchemyError.
        """
        self._cache.client.breaker.check()
        due = self.records.due(_PENDING_FOR, _BATCH)
        applied = set(self._applied.copy())
        new = [record for record in due if record.id not in applied]
        failures = self._applier.apply(new)
        self._applied.extend(record.id for record in new if record.id not in failures)
        self._applier.set_aside(failures)
        if len(new) > len(failures):
            self._report_applied(len(new) - len(failures))
        self._write_done()  # or the next call would find them again
        return len(due)

    def _report_applied(self, number: int) -> None:
        """Log the first ones: after an outage the next sweeps find those that became due since."""
        is_first = time.monotonic() > self._reported_at + _REPORTED_EVERY
        if is_first:
            self._reported_at = time.monotonic()
        level = logging.INFO if is_first else logging.DEBUG
        logger.log(level, "Applied %d invalidations that had not reached Redis", number)

    def purge(self) -> None:
        """Delete records that were done a while ago, unless Redis may have lost them."""
        if not self._replays.reconnect_unmarked():
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

    def _read_pending(self) -> Sequence[PendingKeys] | None:
        """See Trust. Raises LookupError before the records are repeated in another server."""
        if self._replays.are_due(self._cache.client):
            self._wake.set()
            raise LookupError("another server has just taken over")
        return self._pending.read()

    # --- records ---

    def _write_done(self) -> None:
        self._marks_soon = False  # first: what is added from now on may not be in this batch
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
            self._lock, self._thread, self._pid = threading.Lock(), None, os.getpid()
            self._marks_soon = False
        if self._thread is not None or self._closing.is_set():
            return
        with self._lock:
            if self._thread is None:
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
            self._attempt(self._replays.repeat)
            if self._renewal_requested:
                self._attempt(self._renew)
            self._attempt(self._applier.store_noted_failures)
            if self._applied and now >= next_mark:
                self._attempt(self._write_done)
                next_mark = now + _MARK_INTERVAL
            if now >= next_sweep:
                sweeps += 1
                self._attempt(self._sweep_all)
                if sweeps % _SWEEPS_PER_PURGE == 0:
                    self._attempt(self.purge)
                    self._attempt(self._applier.count_failing)
                next_sweep = time.monotonic() + _SWEEP_INTERVAL

    def _attempt(self, task: Callable[[], object]) -> None:
        try:
            task()
        except (RedisLayerError, SQLAlchemyError) as error:  # others log the outage
            logger.debug("Upkeep of the cache is postponed: %s", error)
        except Exception:
            logger.exception("Upkeep of the cache failed; it is tried again")

    def _renew(self) -> None:
        try:
            self.trust.renew()
        finally:
            # Only now: readers ask for renewal until it is done.
            self._renewal_requested = False

    def _sweep_all(self) -> None:
        while self.sweep() == _BATCH and not self._closing.is_set():
            pass
