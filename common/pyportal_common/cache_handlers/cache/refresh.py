"""Refreshes values that are about to expire, in the background of the requests that read them."""

import logging
import math
import os
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from ..client.observer import CacheEvent
from .leases import Lease, Leases
from .policy import Policy

logger = logging.getLogger(__name__)

NO_VALUE = object()  # the result of a refresh that stored nothing

_THREADS = 4
_MAX_REFRESHES = 64  # running or queued
_MAX_PAUSES = 10_000  # keys
_NEWEST_WEIGHT = 0.2  # of the newest load in the moving average


class Refresher:
    """Refreshes values that are due, one at a time for each key, in its own threads.

    `is_due` is XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede
    Prevention", VLDB 2015): P(refresh) = exp(-remaining / (beta * delta)), where delta is the
    moving average of the load times of a policy in this process. The lease elects one loader among
    all processes. A key whose lease was refused, or whose load failed, is paused in this process.
    """

    def __init__(
        self,
        leases: Leases,
        notify: Callable[[CacheEvent, str], None],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._leases = leases
        self._notify = notify
        self._chance = chance
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[Any]] = {}
        self._paused_until: OrderedDict[str, float] = OrderedDict()
        self._load_times: dict[Policy, float] = {}

    def is_due(self, left_ms: int, policy: Policy) -> bool:
        """Whether to refresh a value that expires in `left_ms`.

        The age of a value without expiry is unknown, so it is due.
        """
        fresh = left_ms / 1000 - policy.stale_for
        if left_ms < 0 or fresh <= 0:
            return True
        horizon = policy.beta * self._load_times.get(policy, 0.0)
        return fresh < 30 * horizon and self._chance() < math.exp(-fresh / horizon)

    def record_load_time(self, seconds: float, policy: Policy) -> None:
        """Add the time of a load to the moving average of its policy."""
        average = self._load_times.get(policy, seconds)
        self._load_times[policy] = average + _NEWEST_WEIGHT * (seconds - average)

    def refresh(
        self,
        key: str,
        left_ms: int,
        load: Callable[[], Any],
        policy: Policy,
        tags: tuple[str, ...] = (),
    ) -> "Future[Any] | None":
        """Start to refresh `key`, which was read with `left_ms` left and has these keys of tags.

        The result of the future is the new value, or NO_VALUE. Nothing is loaded if the value was
        refreshed since it was read, as its time to live shows. None if the key is paused or too
        many refreshes wait. An exception of `load` is logged.
        """
        if self._pid != os.getpid():
            self._reset()  # a fork does not copy threads
        with self._lock:
            if key in self._running:
                return self._running[key]
            paused = self._paused_until.get(key, 0) > time.monotonic()
            if paused or len(self._running) >= _MAX_REFRESHES:
                return None
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, "cache-refresh")
            lease = partial(self._leases.request_refresh, key, left_ms, policy, tags)
            future = self._running[key] = self._pool.submit(self._load, lease, load, policy)
        future.add_done_callback(lambda _: self._forget(key))
        return future

    def _load(self, request: Callable[[], Lease], load: Callable[[], Any], policy: Policy) -> Any:
        lease = request()
        if lease.state == "fresh":
            return lease.value
        if lease.state != "mine":
            self._pause(lease.key, policy.retry)
            return NO_VALUE
        self._notify("load", lease.key)
        started = time.monotonic()
        try:
            value = load()
        except Exception as error:
            self._notify("failed", lease.key)
            logger.warning(
                "Refreshing a value failed; the stale value is still served", exc_info=error
            )
            self._leases.release(lease, policy.retry)
            self._pause(lease.key, policy.retry)
            return NO_VALUE
        self.record_load_time(time.monotonic() - started, policy)
        (accepted,) = self._leases.publish({lease: value}, policy)
        if not accepted:
            self._notify("unfilled", lease.key)
        return value if accepted else NO_VALUE

    def _pause(self, key: str, seconds: float) -> None:
        with self._lock:
            self._paused_until[key] = time.monotonic() + seconds
            self._paused_until.move_to_end(key)
            if len(self._paused_until) > _MAX_PAUSES:
                self._paused_until.popitem(last=False)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._running.pop(key, None)
