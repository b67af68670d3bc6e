"""Redis Sentinel: which server is the master now.

See "Guidelines for Redis clients with support for Redis Sentinel" in the documentation of Redis.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from .observer import SILENT
from .sentinel_addresses import Address, Sentinels, text_of
from .sentinel_queries import Answer, Sentinel, ask_all

logger = logging.getLogger(__name__)

MASTER_KNOWN_FOR_SECONDS = 1.0
"""A command is sent to a server that a sentinel has named at most so long ago, if one answers."""

_ASK_AGAIN_AFTER = MASTER_KNOWN_FOR_SECONDS / 2


class Master:
    """The address of the master, by the newest answer of the sentinels.

    All of them are asked at the same time, for half a second at most, and the answer with the
    greatest epoch counts: a sentinel that is cut off from the others goes on naming the server that
    was the master before. So an answer of an earlier epoch counts only if most sentinels give it,
    as after their set-up. One that did not answer delays no other one.

    `options` are those of redis-py's connections to sentinels.
    """

    def __init__(
        self,
        sentinels: Sentinels,
        options: dict[str, Any],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = sentinels.master
        self._sentinels = [Sentinel(each, options, clock) for each in sentinels.addresses]
        self._clock = clock
        self._known = Answer(None)
        self._why_unknown = ""
        self._on_move: list[Callable[[], None]] = []
        self.observer = SILENT
        self.reset()

    def on_move(self, call: Callable[[], None]) -> None:
        """Call this when another server has become the master, or the same one again."""
        self._on_move.append(call)

    def reset(self) -> None:
        """Forget who holds the lock. Called in a forked child, too."""
        self._lock = threading.Lock()
        for sentinel in self._sentinels:
            sentinel.reset()
        self.forget()

    def forget(self) -> None:
        """Ask before the next connection: the server of the last answer cannot be used."""
        self._asked_at = float("-inf")

    def find(self) -> Address:
        """The address for a new connection. Raises redis.ConnectionError if none is known.

        If no sentinel answers, it is the last one that was known.
        """
        with self._lock:
            if self._clock() - self._asked_at > _ASK_AGAIN_AFTER:
                self._ask()
            if self._known.address is None:
                raise redis.ConnectionError(self._why_unknown)
            return self._known.address

    @property
    def epoch(self) -> int:
        """The number of the latest failover, as the sentinels count them; -1 if none is known."""
        return self._known.epoch

    def confirm(self) -> None:
        """Notice if there was a failover. Call before each use of a connection.

        One round trip to all sentinels, twice a second at most. Of several threads one asks, and
        the others go on with an answer that is a second old at most. Never raises.
        """
        age = self._clock() - self._asked_at
        if age <= _ASK_AGAIN_AFTER:
            return
        if not self._lock.acquire(blocking=age > MASTER_KNOWN_FOR_SECONDS):
            return
        try:
            if self._clock() - self._asked_at > _ASK_AGAIN_AFTER:
                self._ask()
        finally:
            self._lock.release()

    def silent(self) -> list[str]:
        """The addresses of the sentinels that do not answer. One round trip to each."""
        return [str(sentinel) for sentinel in self._sentinels if not sentinel.answers()]

    def close(self) -> None:
        """Close the connections to the sentinels."""
        for sentinel in self._sentinels:
            sentinel.close()

    def _ask(self) -> None:
        asked_at = self._clock()
        answers, failures = ask_all(self._sentinels, self._name)
        known = [answer for answer in answers if answer.address is not None]
        if known:
            newest = max(known, key=lambda each: each.epoch)
            if newest.epoch >= self.epoch or 2 * len(known) > len(self._sentinels):
                self._set(newest)
        elif answers:
            self._why_unknown = (
                f"no sentinel knows a master {self._name!r}: see REDIS_SENTINEL_MASTER"
            )
        else:
            reasons = "; ".join(dict.fromkeys(failures))
            self._why_unknown = f"no sentinel answered: {reasons}"
        self._asked_at = asked_at

    def _set(self, answer: Answer) -> None:
        before, self._known = self._known, answer
        if before.address is None or answer.address is None or before == answer:
            return
        logger.warning(
            "Redis %s: after a failover the master is %s, before it was %s",
            self._name,
            text_of(answer.address),
            text_of(before.address),
        )
        self.observer.failover()
        for call in self._on_move:
            call()
