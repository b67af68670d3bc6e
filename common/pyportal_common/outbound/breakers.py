"""Which of the places that workers call can be reached, as this process has seen lately.

Threads are shared by all jobs. A place that hangs would hold each of them for as long as a call may
take, again and again; so after a call in vain one thread at a time tries, and the others go on with
what can be done. The same pattern as the breaker of the Redis layer, for calls that may wait.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PAUSE = 5.0  # seconds
_MOST = 1000  # places that are remembered


class CircuitOpen(Exception):
    """It could not be reached a moment ago: try again in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class CircuitBreakers:
    """Those of one process."""

    def __init__(self, pause_seconds: float = _PAUSE) -> None:
        self._pause = pause_seconds
        self._lock = threading.Lock()
        self._closed_until: dict[str, float] = {}

    @contextmanager
    def calling(self, name: str, *unreachable: type[Exception]) -> Iterator[None]:
        """Around a call. Raises CircuitOpen instead where one was in vain a moment ago.

        In vain is what ends in one of the exceptions `unreachable`. Any other end means that it was
        reached.
        """
        self._enter(name)
        try:
            yield
        except unreachable:
            self._close(name)
            raise
        except BaseException:
            self._open(name)
            raise
        self._open(name)

    def _enter(self, name: str) -> None:
        now = time.monotonic()
        with self._lock:
            closed_until = self._closed_until.get(name)
            if closed_until is None:
                return
            if closed_until > now:
                raise CircuitOpen(closed_until - now)
            self._closed_until[name] = now + self._pause  # while this one tries

    def _close(self, name: str) -> None:
        with self._lock:
            if len(self._closed_until) >= _MOST:
                self._closed_until.clear()
            self._closed_until[name] = time.monotonic() + self._pause

    def _open(self, name: str) -> None:
        with self._lock:
            self._closed_until.pop(name, None)
