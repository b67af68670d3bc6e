"""The circuit breaker of a Redis server: detects an outage and the end of it."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable

from .errors import RedisUnavailable
from .observer import SILENT

logger = logging.getLogger(__name__)

_PAUSE_AFTER_RELAPSE = 1.5  # seconds


class Breaker:
    """Stops the use of a Redis server at its first failure, until a probe succeeds.

    One failure is enough, because every further attempt on a hung server would cost a request the
    whole read timeout. Requests never probe. A daemon thread probes at once, so that a single lost
    connection costs milliseconds, and then every `interval` seconds. If the server fails again
    right after a successful probe, the thread waits a moment before it probes again.

    The pattern is Nygard's circuit breaker (Release It!, 2007), with a probe instead of the
    half-open state.
    """

    def __init__(self, address: str, probe: Callable[[], bool], *, interval: float = 0.5) -> None:
        self.address = address
        self.observer = SILENT
        self._probe = probe
        self._interval = interval
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._failure: str | None = None
        self._recovered_at = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether the server counts as unavailable."""
        if self._failure is not None and os.getpid() != self._pid:
            self._reset()  # a fork does not copy the probing thread
        return self._failure is not None

    def check(self) -> None:
        """Raise RedisUnavailable while the server counts as unavailable. No round trip."""
        if self.is_open:
            raise RedisUnavailable(f"Redis {self.address} is unavailable: {self._failure}")

    def trip(self, error: Exception) -> RedisUnavailable:
        """Open the breaker, and return the error to raise."""
        if os.getpid() != self._pid:
            self._reset()
        failure = f"{type(error).__name__}: {error}"
        with self._lock:
            if self._failure is None and not self._closing.is_set():
                self._open(failure)
        return RedisUnavailable(f"Redis {self.address} is unavailable: {failure}")

    def close(self) -> None:
        """Stop the probing thread, if there is one. An open breaker stays open."""
        self._closing.set()

    def _open(self, failure: str) -> None:
        self._failure = failure
        logger.warning("Redis %s is unavailable: %s", self.address, failure)
        logger.warning(
            "Until Redis is back, cache reads miss, sessions are refused, and rate limits are"
            " counted in this process"
        )
        try:
            threading.Thread(target=self._probe_until_back, name="redis-probe", daemon=True).start()
        except RuntimeError:  # no thread can start; without one the breaker would never close
            self._failure = None
            return
        self.observer.breaker(is_open=True)

    def _probe_until_back(self) -> None:
        since = time.monotonic()
        closing = self._closing
        if since - self._recovered_at < _PAUSE_AFTER_RELAPSE:  # PING works, other commands fail
            closing.wait(_PAUSE_AFTER_RELAPSE)
        while not closing.is_set():
            if self._probe_succeeds():
                with self._lock:
                    self._failure = None
                    self._recovered_at = time.monotonic()
                self.observer.breaker(is_open=False)
                outage = self._recovered_at - since
                logger.warning("Redis %s is back after %.1f s", self.address, outage)
                return
            closing.wait(self._interval)

    def _probe_succeeds(self) -> bool:
        try:
            return self._probe()
        except Exception:
            logger.exception("The probe of Redis %s failed", self.address)
            return False
