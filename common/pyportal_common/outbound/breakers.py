"""Circuit breakers for the hosts that workers call, as seen by this process.

All jobs share the worker's threads, and a host that hangs would hold each thread for as long as a
call may take. So after a failed call only one thread at a time tries again; the others run other
jobs. The breaker of the Redis layer does the same for calls that cannot wait.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PAUSE_SECONDS = 5.0
_MAX_HOSTS = 1000  # that are remembered


class CircuitOpen(Exception):
    """A recent call to the host failed. Try again in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class CircuitBreakers:
    """The circuit breakers of one process, by the name of a host."""

    def __init__(
        self, pause_seconds: float = _PAUSE_SECONDS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause = pause_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._open_until: dict[str, float] = {}

    @contextmanager
    def calling(self, name: str, *unreachable: type[Exception]) -> Iterator[None]:
        """Surrounds a call to a host. Raises CircuitOpen if a recent call failed.

        A call has failed if it raises one of the exceptions `unreachable`. After any other outcome
        the host counts as reachable.
        """
        self._enter(name)
        try:
            yield
        except unreachable:
            self._open(name)
            raise
        except BaseException:
            self._close(name)
            raise
        self._close(name)

    def pause(self, name: str) -> float:
        """The seconds until a call to the host is allowed; 0 if it is."""
        with self._lock:
            return max(0.0, self._open_until.get(name, 0.0) - self._clock())

    def _enter(self, name: str) -> None:
        now = self._clock()
        with self._lock:
            open_until = self._open_until.get(name)
            if open_until is None:
                return
            if open_until > now:
                raise CircuitOpen(open_until - now)
            self._open_until[name] = now + self._pause  # for the others, while this one tries

    def _open(self, name: str) -> None:
        with self._lock:
            if len(self._open_until) >= _MAX_HOSTS:
                self._open_until.clear()
            self._open_until[name] = self._clock() + self._pause

    def _close(self, name: str) -> None:
        with self._lock:
            self._open_until.pop(name, None)
