"""Refreshing values that are about to end, beside the requests that go on with them."""

import logging
import math
import os
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..client.observer import CacheEvent
from .leases import Leases, Policy

logger = logging.getLogger(__name__)

NOTHING = object()  # came of a refresh

_THREADS = 4
_MOST_WAITING = 64  # refreshes
_MOST_PAUSES = 10_000  # keys
_WEIGHT = 0.2  # of the newest load, in the average


class Refresher:
    """Loads anew what is due, one at a time for a key, in threads of its own.

    `is_due` is XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede
    Prevention", VLDB 2015): P(refresh) = exp(-remaining / (beta * delta)), where delta is what a
    load takes here, as a moving average for each policy. The lease sees to it that of all processes
    only one loads; in a process, a key that somebody has or that failed is left alone for a moment.
    """

    def __init__(
        self,
        leases: Leases,
        tell: Callable[[CacheEvent, str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._leases = leases
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[Any]] = {}
        self._paused_until: OrderedDict[str, float] = OrderedDict()
        self._deltas: dict[Policy, float] = {}

    def is_due(self, left_ms: int, policy: Policy) -> bool:
        """Whether a value that Redis keeps for `left_ms` should be loaded anew.

        A key without an end is of unknown age.
        """
        fresh = left_ms / 1000 - policy.stale_for
        if left_ms < 0 or fresh <= 0:
            return True
        horizon = policy.beta * self._deltas.get(policy, 0.0)
        return fresh < 30 * horizon and self._chance() < math.exp(-fresh / horizon)

    def took(self, seconds: float, policy: Policy) -> None:
        """A load under this policy took so long."""
        before = self._deltas.get(policy, seconds)
        self._deltas[policy] = before + _WEIGHT * (seconds - before)

    def refresh(self, key: str, load: Callable[[], Any], policy: Policy) -> "Future[Any] | None":
        """Load `key` anew, beside the caller; the value to come, or NOTHING.

        None where it is not the time for that. What `load` raises is logged, not raised.
        """
        if self._pid != os.getpid():
            self._reset()  # threads stay in the parent of a fork
        with self._lock:
            if key in self._running:
                return self._running[key]
            if (
                self._paused_until.get(key, 0) > self._clock()
                or len(self._running) >= _MOST_WAITING
            ):
                return None
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, "cache-refresh")
            future = self._running[key] = self._pool.submit(self._load, key, load, policy)
        future.add_done_callback(lambda _: self._landed(key))
        return future

    def _load(self, key: str, load: Callable[[], Any], policy: Policy) -> Any:
        lease = self._leases.ask(key, policy, refresh=True)
        if lease.state != "mine":
            self._pause(key, policy.retry)
            return NOTHING
        self._tell("load", key)
        began = self._clock()
        try:
            value = load()
        except Exception as error:
            self._tell("failed", key)
            logger.warning("A value is served for longer: loading it anew failed", exc_info=error)
            self._leases.release(lease, policy)
            self._pause(key, policy.retry)
            return NOTHING
        self.took(self._clock() - began, policy)
        (stored,) = self._leases.publish({lease: value}, policy)
        if not stored:
            self._tell("unfilled", key)
        return value if stored else NOTHING

    def _pause(self, key: str, seconds: float) -> None:
        with self._lock:
            self._paused_until[key] = self._clock() + seconds
            self._paused_until.move_to_end(key)
            if len(self._paused_until) > _MOST_PAUSES:
                self._paused_until.popitem(last=False)

    def _landed(self, key: str) -> None:
        with self._lock:
            self._running.pop(key, None)
