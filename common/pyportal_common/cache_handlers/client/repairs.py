"""Logs that odd values were found in Redis."""

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_INTERVAL = 60.0  # seconds


class RepairLog:
    """Logs odd values, at most once a minute for each kind of key. It logs no value and no id."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_at: dict[str, float] = {}

    def record(self, kind: str, effect: str) -> None:
        """Log that a key of this kind holds an odd value in Redis, and the `effect` of that."""
        with self._lock:
            now = self._clock()
            if now - self._logged_at.get(kind, -_INTERVAL) < _INTERVAL:
                return
            self._logged_at[kind] = now
        logger.warning("Redis holds an odd value under a key of %s: %s", kind, effect)
