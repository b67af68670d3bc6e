"""Trust: whether this process may use the values that Redis holds."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisLayerError, RedisRefused
from ..client.scripts import Script

_VALUES_PER_SCRIPT = 100  # each with its lease
_PAUSE_AFTER_FAILURE = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class PendingKeys:
    """The keys that a commit has changed and that may still hold old values."""

    record_id: int
    keys: tuple[str, ...]


class Trust:
    """Trust in the values of a Redis database, which lasts `seconds` and is renewed by use.

    A writer that could not remove old values waits `seconds` after its COMMIT before it responds.
    A renewal removes the old values of all commits before it. So a process that renewed within
    `seconds` never reads a value older than one whose writer has responded. This is a lease (Gray
    and Cheriton, SOSP 1989) on the right to read. Only the rate of clocks matters.

    `read_pending` returns the pending invalidations of all processes, or None if SQL cannot be
    reached: no commit can happen then, so a write to Redis is enough. It raises LookupError if they
    are too many to remove at once, or not known in time. `on_removed` receives the ids of the
    records whose keys were removed. `renew_soon` has `renew` called in another thread.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        seconds: float,
        read_pending: Callable[[], Sequence[PendingKeys] | None],
        on_removed: Callable[[Sequence[int]], None],
        renew_soon: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._client = client
        self._read_pending = read_pending
        self._on_removed = on_removed
        self._renew_soon = renew_soon
        self._clock = clock
        self._script = Script.load(__package__, "renew")
        self._lock = threading.Lock()
        self._trusted_until = self._paused_until = clock()
        self._set_aside: frozenset[str] = frozenset()

    def allows(self, key: str) -> bool:
        """Whether the value under `key` may be read. Call this before the read.

        No round trip as long as trust is renewed ahead, else two: one to SQL, one to Redis.
        """
        left = self._trusted_until - self._clock()
        if left <= 0 and not self._renew_now():
            return False
        if 0 < left < self.seconds / 2:
            self._renew_soon()
        return key not in self._set_aside

    def renew(self) -> bool:
        """Remove what pending invalidations name, and trust Redis from the start of this call."""
        with self._lock:
            return self._renew()

    def _renew_now(self) -> bool:
        if self._client.breaker.is_open:
            return False
        with self._lock:
            now = self._clock()
            if self._trusted_until > now:
                return True  # another thread has renewed
            return self._paused_until <= now and self._renew()

    def _renew(self) -> bool:
        began = self._clock()  # before the records are read: later commits are not among them
        try:
            pending = self._read_pending()
            self._remove(())
            refused = [] if pending is None else self._remove_each(pending)
        except (RedisLayerError, LookupError):
            self._paused_until = self._clock() + _PAUSE_AFTER_FAILURE
            return False
        if pending is not None:
            self._set_aside = frozenset(key for record in refused for key in record.keys)
            left = {record.record_id for record in refused}
            self._on_removed([each.record_id for each in pending if each.record_id not in left])
        self._trusted_until = began + self.seconds
        return self._trusted_until > self._clock()

    def _remove_each(self, pending: Sequence[PendingKeys]) -> list[PendingKeys]:
        """Remove the keys of each record. Returns the records whose keys Redis refused."""
        refused: list[PendingKeys] = []
        for batch in _in_batches(pending):
            try:
                self._remove(key for record in batch for key in record.keys)
            except RedisRefused as error:
                if error.is_of_all_writes:
                    raise
                if len(batch) == 1:
                    refused += batch
                    continue
                middle = len(batch) // 2
                refused += self._remove_each(batch[:middle]) + self._remove_each(batch[middle:])
        return refused

    def _remove(self, names: Iterable[str]) -> None:
        """Remove values and leases; without names, only check that Redis accepts writes."""
        pairs = [each for name in sorted(set(names)) for each in (name, keys.lease(name))]
        for start in range(0, len(pairs) or 1, 2 * _VALUES_PER_SCRIPT):
            some = pairs[start : start + 2 * _VALUES_PER_SCRIPT]
            self._client.run(self._script, [keys.CACHE_RENEWAL, *some], [])


def _in_batches(pending: Sequence[PendingKeys]) -> Iterable[Sequence[PendingKeys]]:
    """The records in groups, each of one script if possible."""
    group: list[PendingKeys] = []
    size = 0
    for record in pending:
        if group and size + len(record.keys) > _VALUES_PER_SCRIPT:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record.keys)
    if group:
        yield group
