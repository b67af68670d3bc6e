"""Tasks a second, beside no-ops of Dramatiq alone."""

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from subprocess import Popen
from typing import Any

from dramatiq import Message

from common.pyportal_common.redis_server import RedisServer

from .contenders import no_op
from .taskprocessing import Portal, running

_ROUNDS = 5
_NO_OPS, _TASKS = 5000, 1000  # in a turn
_POLL = 0.01  # seconds
_STALLED = 60.0  # seconds


@dataclass
class Work:
    """One kind of work: `fill` queues a turn's, `worker` does it, `left` tells how much is left."""

    name: str
    count: int
    fill: Callable[[], None]
    worker: Callable[[], AbstractContextManager[Popen[bytes]]]
    left: Callable[[], int]
    check: Callable[[], None] = lambda: None
    rates: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        """Measure a turn, without its first tenth: that opens connections."""
        self.fill()
        with self.worker():
            began = self._await(self.count * 9 // 10)
            left = self.left()
            ended = self._await(0)
            self.check()
        self.rates.append(left / (ended - began))

    def _await(self, left: int) -> float:
        deadline = time.perf_counter() + _STALLED
        while self.left() > left:
            if time.perf_counter() > deadline:
                raise SystemExit(f"{self.name}: {self.left()} messages are left")
            time.sleep(_POLL)
        return time.perf_counter()

    def ratio_to(self, floor: "Work") -> float:
        """The rate as a share of the other's in the same round: the median of those."""
        return median(a / b for a, b in zip(self.rates, floor.rates, strict=True))


def compare(server: RedisServer, portals: list[Portal]) -> None:
    """Print a table of all kinds of work, which take turns."""
    with ExitStack() as stack:
        works = [_no_ops(stack, server, db=15)]
        for portal in portals:
            works += [_tasks(stack, portal, kind) for kind in ("no_op", "flight_booking")]
        for _ in range(_ROUNDS):
            for work in works:
                work.take_turn()
    print(
        f"{'one worker with eight threads':<42} {'tasks/s':>7} {'from':>7} {'to':>7} {'ratio':>7}"
    )
    for work in works:
        rates = f"{median(work.rates):>7.0f} {min(work.rates):>7.0f} {max(work.rates):>7.0f}"
        print(f"{work.name:<42} {rates} {work.ratio_to(works[0]):>7.2f}")


def _no_ops(stack: ExitStack, server: RedisServer, *, db: int) -> Work:
    url = f"{server.url}/{db}"
    broker = no_op.broker_at(url)
    stack.callback(broker.client.close)

    def fill() -> None:
        for number in range(_NO_OPS):
            broker.enqueue(
                Message(
                    queue_name=no_op.QUEUE,
                    actor_name=no_op.ACTOR,
                    args=(number,),
                    kwargs={},
                    options={},
                )
            )

    return Work(
        "Dramatiq, a no-op",
        _NO_OPS,
        fill,
        partial(running, "benchmarks.contenders.no_op", {"BROKER_URL": url}),
        partial(_messages, broker.client, no_op.NAMESPACE, no_op.QUEUE),
    )


def _tasks(stack: ExitStack, portal: Portal, kind: str) -> Work:
    def fill() -> None:
        ids = portal.rows.add_waiting(kind, _TASKS)
        random.shuffle(ids)
        portal.send(ids)

    broker = portal.queue.broker
    stack.callback(broker.client.close)
    return Work(
        f"{portal.name}, {kind}",
        _TASKS,
        fill,
        portal.worker,
        partial(_messages, broker.client, broker.namespace, "normal"),
        portal.rows.check_completed,
    )


def _messages(client: Any, namespace: str, queue: str) -> int:
    """What is not acknowledged yet."""
    return int(client.hlen(f"{namespace}:{queue}.msgs"))
