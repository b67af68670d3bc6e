"""Redis Sentinel: which server is the master now.

See "Guidelines for Redis clients with support for Redis Sentinel" in the documentation of Redis.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from .observer import SILENT
from .sentinel_addresses import Address, Sentinels, text_of

logger = logging.getLogger(__name__)

MASTER_KNOWN_FOR_SECONDS = 1.0
"""A command is sent to a server that a sentinel has named at most so long ago, if one answers."""

ASK_SECONDS = 0.5
"""No further sentinel is asked after this time."""

_ASK_AGAIN_AFTER = MASTER_KNOWN_FOR_SECONDS / 2
_LEFT_OUT_SECONDS = 5.0  # a sentinel that did not answer, as long as others do
_ACCOUNT = "see REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD"


class Master:
    """The address of the master, by the newest answer of the sentinels.

    All of them are asked in turn, for half a second at most, and the answer with the greatest epoch
    counts: a sentinel that is cut off from the others goes on naming the server that was the master
    before. So an answer of an earlier epoch counts only if most sentinels give it, as after their
    set-up. One that does not answer is asked last, and left out for a while.

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
        self._sentinels = [_Sentinel(each, options) for each in sentinels.addresses]
        self._clock = clock
        self._known = _Answer(None)
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

        One round trip to each sentinel, twice a second at most. Of several threads one asks, and
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
        answers = self._answers(asked_at + ASK_SECONDS)
        known = [answer for answer in answers if answer.address is not None]
        if known:
            newest = max(known, key=lambda each: each.epoch)
            if newest.epoch >= self.epoch or 2 * len(known) > len(self._sentinels):
                self._set(newest)
        elif answers:
            self._why_unknown = (
                f"no sentinel knows a master {self._name!r}: see REDIS_SENTINEL_MASTER"
            )
        self._asked_at = asked_at

    def _answers(self, until: float) -> "list[_Answer]":
        found: list[_Answer] = []
        failures = []
        for sentinel in sorted(self._sentinels, key=lambda each: each.left_out_until):
            now = self._clock()
            if now > until or (found and sentinel.left_out_until > now):
                break
            try:
                found.append(sentinel.ask(self._name))
                sentinel.left_out_until = 0.0
            except redis.RedisError as error:
                sentinel.left_out_until = self._clock() + _LEFT_OUT_SECONDS
                failures.append(_advice(error))
        if not found:
            reasons = "; ".join(dict.fromkeys(failures))
            self._why_unknown = f"no sentinel answered: {reasons}"
        return found

    def _set(self, answer: "_Answer") -> None:
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


@dataclass(frozen=True, slots=True)
class _Answer:
    address: Address | None
    epoch: int = -1


class _Sentinel:
    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        host, port = address
        self._name = text_of(address)
        pool = redis.ConnectionPool(host=host, port=port, **options)
        self._redis = redis.Redis(connection_pool=pool)
        self.left_out_until = 0.0

    def __str__(self) -> str:
        return self._name

    def answers(self) -> bool:
        """Whether it answers, and accepts our account. One round trip."""
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def close(self) -> None:
        """Close its connections."""
        self._redis.connection_pool.disconnect()

    def ask(self, name: str) -> _Answer:
        """Its answer, without an address if it knows no such master. One round trip."""
        with self._redis.pipeline(transaction=False) as pipeline:
            # During a failover only the first one names the new master.
            pipeline.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", name)
            pipeline.execute_command("SENTINEL MASTER", name)
            address, state = pipeline.execute(raise_on_error=False)
        for reply in (address, state):
            if isinstance(reply, redis.RedisError) and "No such master" not in str(reply):
                raise reply
        if not address or isinstance(state, Exception):
            return _Answer(None)
        return _Answer(address, state["config-epoch"])


def _advice(error: redis.RedisError) -> str:
    text = str(error).rstrip(".")
    is_account = isinstance(error, redis.AuthenticationError | redis.ResponseError)
    return f"{text}: {_ACCOUNT}" if is_account else text
