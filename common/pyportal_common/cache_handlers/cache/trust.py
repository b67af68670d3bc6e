"""Trust: whether this process may use the values that Redis holds."""

import threading
import time
from collections.abc import Callable, Sequence

from ..client.client import RedisClient
from ..client.errors import RedisLayerError
from .removal import PendingKeys, Removal

_PAUSE_AFTER_FAILURE = 0.25  # seconds


class Trust:
    """Trust in the values of a Redis database, which lasts `seconds` and is renewed by use.

    A writer that could not remove old values waits `seconds` after its COMMIT before it responds.
    A renewal removes the old values of all commits before it. So a process that renewed within
    `seconds` never reads a value older than one whose writer has responded. This is a lease (Gray
    and Cheriton, SOSP 1989) on the right to read. Only the rate of clocks matters.

    Trust is in one run of one server: it ends when another one is found in its place.

    `read_pending` returns the pending invalidations of all processes, or None if SQL cannot be
    reached: no commit can happen then, so a write to Redis is enough. It raises LookupError if they
    are too many to remove at once, or not known in time, or if nothing may be read yet.
    `on_removed` receives the ids of the records whose keys were removed. `renew_soon` has `renew`
    called in another thread.
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
        self._removal = Removal(client.run)
        self._lock = threading.Lock()
        self._trusted_until = self._paused_until = clock()
        self._distrusted: frozenset[str] = frozenset()
        self._server = -1  # the one that is trusted, by RedisClient.servers_seen
        self._is_lost = True  # nothing is trusted yet, so there is nothing to lose

    def allows(self, key: str) -> bool:
        """Whether the value under `key` may be read. Call this before the read.

        No round trip as long as trust is renewed ahead, else two: one to SQL, one to Redis.
        """
        left = self._left()
        if left <= 0 and not self._renew_now():
            self._note_loss()
            return False
        if 0 < left < self.seconds / 2:
            self._renew_soon()
        return key not in self._distrusted

    @property
    def is_held(self) -> bool:
        """Whether cached values were used lately, while Redis and SQL were available."""
        return self._left() > 0

    def renew(self) -> bool:
        """Remove what pending invalidations name, and trust Redis from the start of this call."""
        with self._lock:
            return self._renew()

    def _left(self) -> float:
        if self._server != self._client.servers_seen:
            return 0.0  # from this one nothing was removed yet
        return self._trusted_until - self._clock()

    def _renew_now(self) -> bool:
        if self._client.breaker.is_open:
            return False
        with self._lock:
            if self._left() > 0:
                return True  # another thread has renewed
            return self._paused_until <= self._clock() and self._renew()

    def _renew(self) -> bool:
        server = self._client.servers_seen
        is_trusted = self._renew_in(server)
        if server != self._client.servers_seen:  # it was found by the first connection to it
            is_trusted = self._renew_in(self._client.servers_seen)
        return is_trusted

    def _renew_in(self, server: int) -> bool:
        began = self._clock()  # before the records are read: later commits are not among them
        try:
            pending = self._read_pending()
            self._removal.check()
            refused = self._removal.remove(pending or ())
        except (RedisLayerError, LookupError):
            self._paused_until = self._clock() + _PAUSE_AFTER_FAILURE
            return False
        if server != self._client.servers_seen:
            return False
        if pending is not None:
            not_removed = [each for each in pending if each.record_id in refused]
            self._distrusted = frozenset(key for each in not_removed for key in each.keys)
            self._on_removed([each.record_id for each in pending if each.record_id not in refused])
        self._trusted_until, self._server = began + self.seconds, server
        is_trusted = self._left() > 0
        self._is_lost = not is_trusted
        return is_trusted

    def _note_loss(self) -> None:
        """Report a loss once. Two threads may both report one that they find at once."""
        if not self._is_lost:
            self._is_lost = True
            self._client.observer.trust_lost()
