"""Questions to sentinels. Each is asked by a thread of its own: none delays another one."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Self

import redis

from .sentinel_addresses import Address, text_of

ASK_SECONDS = 0.5
"""Answers are awaited for so long."""

_LEFT_OUT_SECONDS = 5.0  # a sentinel that did not answer in time, as long as others do
_ACCOUNT = "see REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Answer:
    """The address of the master, and the number of the failover by which it is the master."""

    address: Address | None
    epoch: int = -1

    @classmethod
    def parse(cls, address: Any, state: Any) -> Self:
        """From the replies about a master that the sentinel knows. Raises redis.ResponseError."""
        try:
            host, port = address
            epoch = dict(zip(state[::2], state[1::2], strict=True))["config-epoch"]
            found = cls((host, int(port)), int(epoch))
            host.encode("idna")
        except (AttributeError, KeyError, TypeError, ValueError):
            raise redis.ResponseError("not the answer of a sentinel") from None
        if not host or not 0 < int(port) < 2**16:
            raise redis.ResponseError("not the address of a master")
        return found


Outcome = Answer | Exception


class Sentinel:
    """One sentinel. `options` are those of redis-py's connections."""

    def __init__(self, address: Address, options: dict[str, Any], clock: Clock) -> None:
        host, port = address
        self._name = text_of(address)
        self._clock = clock
        pool = redis.ConnectionPool(host=host, port=port, **options)
        self._redis = redis.Redis(connection_pool=pool)
        self._is_asked = False
        self._left_out_until = float("-inf")
        self._failed = False

    def __str__(self) -> str:
        return self._name

    @property
    def is_left_out(self) -> bool:
        """Whether it did not answer in time when it was asked last."""
        return self._failed

    @property
    def is_due(self) -> bool:
        """Whether it may be asked, though it is left out."""
        return self._clock() >= self._left_out_until

    def reset(self) -> None:
        """In a forked child: no thread asks it."""
        self._is_asked = False

    def answers(self) -> bool:
        """Whether it answers, and accepts our account. One round trip."""
        try:
            return bool(self._redis.ping())
        except (redis.RedisError, OSError, ValueError):
            return False

    def close(self) -> None:
        """Close its connections."""
        self._redis.connection_pool.disconnect()

    def leave_out(self) -> None:
        """Do not wait for it, until it has answered in time again."""
        self._failed, self._left_out_until = True, self._clock() + _LEFT_OUT_SECONDS

    def begin(self, name: str, replies: "SimpleQueue[tuple[Sentinel, Outcome]]") -> bool:
        """Ask about a master in a thread. False if it has not answered the last question yet."""
        if self._is_asked:
            return False
        self._is_asked = True
        thread = threading.Thread(
            target=self._run, args=(name, replies), name="sentinel", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no thread can start
            self._is_asked = False
            return False
        return True

    def _run(self, name: str, replies: "SimpleQueue[tuple[Sentinel, Outcome]]") -> None:
        began = time.monotonic()
        outcome: Outcome
        try:
            outcome = self.ask(name)
        except Exception as error:  # noqa: BLE001  whatever it answers, the others count
            outcome = error
        if isinstance(outcome, Exception) or time.monotonic() - began > ASK_SECONDS:
            self.leave_out()
        else:
            self._failed = False
        self._is_asked = False
        replies.put((self, outcome))

    def ask(self, name: str) -> Answer:
        """Its answer, without an address if it knows no such master. One round trip."""
        with self._redis.pipeline(transaction=False) as pipeline:
            # In words, so that redis-py does not parse the replies. During a failover only the
            # first one names the new master.
            pipeline.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
            pipeline.execute_command("SENTINEL", "MASTER", name)
            address, state = pipeline.execute(raise_on_error=False)
        for reply in (address, state):
            if isinstance(reply, Exception) and "No such master" not in str(reply):
                raise reply
        if address is None or isinstance(state, Exception):
            return Answer(None)
        return Answer.parse(address, state)


def ask_all(sentinels: Sequence[Sentinel], name: str) -> tuple[list[Answer], list[str]]:
    """The answers that arrive in time, and why others failed.

    Those that did not answer last time are asked as well, but are awaited only if no other one
    answers.
    """
    replies: SimpleQueue[tuple[Sentinel, Outcome]] = SimpleQueue()
    until = time.monotonic() + ASK_SECONDS
    left_out = [each for each in sentinels if each.is_left_out]
    awaited = {each for each in sentinels if each not in left_out and each.begin(name, replies)}
    late = {each for each in left_out if each.is_due and each.begin(name, replies)}
    answers: list[Answer] = []
    failures: list[str] = []
    while True:
        if not awaited and not answers:
            awaited = late | {each for each in left_out if each.begin(name, replies)}
            left_out = []
        if not awaited:
            return answers, failures
        try:
            sentinel, outcome = replies.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            for each in awaited:
                each.leave_out()
                failures.append(f"{each} did not answer within {ASK_SECONDS:g} s")
            return answers, failures
        awaited.discard(sentinel)
        late.discard(sentinel)
        if isinstance(outcome, Answer):
            answers.append(outcome)
        else:
            failures.append(_advice(outcome))


def _advice(error: Exception) -> str:
    text = str(error).rstrip(".")
    is_account = isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError)
    return f"{text}: {_ACCOUNT}" if is_account else text
