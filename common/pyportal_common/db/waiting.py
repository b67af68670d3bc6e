"""Writers that wait because they could not invalidate what they have changed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..cache_handlers import RedisUnavailable


class TooManyWaitingWriters(RedisUnavailable):
    """Redis is unavailable, and as many threads as may wait already wait for old values to expire.

    Nothing was written. The other threads are left for reads.
    """


class WaitingWriters:
    """The right to wait, for a limited number of threads."""

    def __init__(self, limit: int) -> None:
        self._free = threading.BoundedSemaphore(limit)

    @contextmanager
    def place(self, *, may_wait: bool = True) -> Iterator["WaitingPlace"]:
        """A place that is not taken yet, and is released at the end of the block."""
        place = self.open_place(may_wait=may_wait)
        try:
            yield place
        finally:
            place.release()

    def open_place(self, *, may_wait: bool = True) -> "WaitingPlace":
        """A place that the caller releases. One that may not wait is never taken."""
        return WaitingPlace(self._free, may_wait=may_wait)


class WaitingPlace:
    """The right of one transaction to wait."""

    def __init__(self, free: threading.BoundedSemaphore, *, may_wait: bool) -> None:
        self._free = free
        self.may_wait = may_wait
        self._is_taken = False

    def take(self) -> None:
        """Take it, or raise TooManyWaitingWriters."""
        if self._is_taken or not self.may_wait:
            return
        if not self._free.acquire(blocking=False):
            raise TooManyWaitingWriters("too many writers wait while Redis is unavailable")
        self._is_taken = True

    def release(self) -> None:
        """Return it, if it was taken."""
        if self._is_taken:
            self._free.release()
            self._is_taken = False
