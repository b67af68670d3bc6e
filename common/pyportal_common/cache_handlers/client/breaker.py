"""The circuit breaker of a Redis server: notices an outage, and the end of it."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable

from .errors import RedisUnavailable
from .observer import SILENT

logger = logging.getLogger(__name__)

_RELAPSE = 1.5  # seconds


class Breaker:
    """Stops the use of one Redis server at its first failure, until a probe finds it back.

    One failure is enough: each further attempt on a hung server would cost a request the whole
    read timeout. Requests never test the water. A daemon thread probes at once, so that a single
    lost connection costs milliseconds, and then every `interval` seconds. A server that fails
    again as soon as it was found back is left alone for a moment first.

    The pattern is Nygard's circuit breaker (Release It!, 2007), with a probe in place of the
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
        self._closed_at = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether the server counts as unavailable."""
        if self._failure is not None and os.getpid() != self._pid:
            self._reset()  # the thread that probes stayed in the parent of a fork
        return self._failure is not None

    def check(self) -> None:
        """Raise RedisUnavailable while the server counts as unavailable. Costs no trip."""
        if self.is_open:
            raise RedisUnavailable(f"Redis {self.address} is unavailable: {self._failure}")

    def trip(self, error: Exception) -> RedisUnavailable:
        """Note a failure and return the error to raise for it."""
        if os.getpid() != self._pid:
            self._reset()
        failure = f"{type(error).__name__}: {error}"
        with self._lock:
            if self._failure is None and not self._closing.is_set():
                self._open(failure)
        return RedisUnavailable(f"Redis {self.address} is unavailable: {failure}")

    def close(self) -> None:
        """End the probing, if there is any. The breaker stays as it is."""
        self._closing.set()

    def _open(self, failure: str) -> None:
        self._failure = failure
        logger.warning("Redis %s is unavailable: %s", self.address, failure)
        logger.warning(
            "Until Redis is back cache reads miss, sessions and idempotency keys are refused,"
            " and rate limits are counted in this process"
        )
        try:
            threading.Thread(target=self._await_return, name="redis-probe", daemon=True).start()
        except RuntimeError:  # no thread to be had: better no breaker than one open for ever
            self._failure = None
            return
        self.observer.breaker(is_open=True)

    def _await_return(self) -> None:
        since = time.monotonic()
        closing = self._closing
        if since - self._closed_at < _RELAPSE:  # it answers PING and fails at work
            closing.wait(_RELAPSE)
        while not closing.is_set():
            if self._answers():
                with self._lock:
                    self._failure = None
                    self._closed_at = time.monotonic()
                self.observer.breaker(is_open=False)
                logger.warning(
                    "Redis %s is back after %.1f s", self.address, self._closed_at - since
                )
                return
            closing.wait(self._interval)

    def _answers(self) -> bool:
        try:
            return self._probe()
        except Exception:
            logger.exception("The probe of Redis %s failed", self.address)
            return False
