"""The idempotency keys whose requests this process is processing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..db.idempotency import WAIT_SECONDS, KeyedRequest, KeyInFlight

_MAX_WAITING = 3  # of the eight threads of a process


class KeysInFlight:
    """Keys that one request at a time may hold, so that repetitions wait instead of working.

    That saves work, such as hashing a password twice. SQL is what makes an effect happen once:
    other processes do not see these keys.
    """

    def __init__(
        self, *, wait_seconds: float = WAIT_SECONDS, max_waiting: int = _MAX_WAITING
    ) -> None:
        self._wait_seconds = wait_seconds
        self._max_waiting = max_waiting
        self._waiting = 0
        self._held: set[tuple[str, str]] = set()
        self._released = threading.Condition()

    @contextmanager
    def hold(self, request: KeyedRequest) -> Iterator[None]:
        """Hold the request's key in the block.

        Raises KeyInFlight if another request does not release it in time, or at once if too many
        are waiting.
        """
        key = (request.scope, request.key_digest)
        with self._released:
            if key in self._held:
                self._wait_for(key)
            self._held.add(key)
        try:
            yield
        finally:
            with self._released:
                self._held.remove(key)
                self._released.notify_all()

    def _wait_for(self, key: tuple[str, str]) -> None:
        if self._waiting >= self._max_waiting:
            raise KeyInFlight
        self._waiting += 1
        try:
            if not self._released.wait_for(lambda: key not in self._held, self._wait_seconds):
                raise KeyInFlight
        finally:
            self._waiting -= 1
