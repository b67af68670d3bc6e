"""How many tasks a worker completes a second, beside no-ops of Dramatiq alone."""

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dramatiq import Message

from common.pyportal_common.redis_server import RedisServer

from .contenders import no_op
from .figures import print_rates
from .scale import Scale
from .servers import running, wait_until
from .taskprocessing import TaskProcessing

_POLL_SECONDS = 0.01
_QUEUE = "tasks.normal"  # kind and priority, as jobs/queue.py names it


@dataclass
class Work:
    """One kind of work: `fill` queues `count` messages, `worker` processes them, `left` counts."""

    name: str
    count: int
    fill: Callable[[], None]
    worker: Callable[[], AbstractContextManager[object]]
    left: Callable[[], int]
    check: Callable[[], None] = lambda: None
    rates: list[float] = field(default_factory=list)

    def run_round(self) -> None:
        """Measure one round, without its first tenth, in which connections are opened."""
        self.fill()
        with self.worker():
            self._await(self.count * 9 // 10)
            began, left = time.perf_counter(), self.left()
            self._await(0)
            ended = time.perf_counter()
            self.check()
        self.rates.append(left / (ended - began))

    def _await(self, left: int) -> None:
        wait_until(
            lambda: self.left() <= left,
            f"{self.name}: messages are left.",
            poll_seconds=_POLL_SECONDS,
        )


def compare(server: RedisServer, services: list[TaskProcessing], scale: Scale) -> None:
    """Print a table of all kinds of work, which are measured in turns."""
    with ExitStack() as stack:
        works = [_no_ops(stack, server, count=scale.no_ops, db=15)]
        for service in services:
            works += [_tasks(stack, service, kind, scale) for kind in ("no_op", "flight_booking")]
        for _ in range(scale.task_rounds):
            for work in works:
                work.run_round()
    rates = {work.name: work.rates for work in works}
    print_rates("one worker with eight threads", rates, base=works[0].rates)


def _no_ops(stack: ExitStack, server: RedisServer, *, count: int, db: int) -> Work:
    url = f"{server.url}/{db}"
    broker = no_op.broker_at(url)
    stack.callback(broker.client.close)

    def fill() -> None:
        for number in range(count):
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
        count,
        fill,
        partial(running, ["benchmarks.contenders.no_op"], {"BROKER_URL": url}),
        partial(_unacknowledged, broker.client, no_op.NAMESPACE, no_op.QUEUE),
    )


def _tasks(stack: ExitStack, service: TaskProcessing, kind: str, scale: Scale) -> Work:
    def fill() -> None:
        ids = service.rows.add_waiting(kind, scale.tasks)
        random.shuffle(ids)
        service.send(ids)

    broker = service.queue.broker
    stack.callback(broker.client.close)
    return Work(
        f"{service.name}, {kind}",
        scale.tasks,
        fill,
        service.worker,
        partial(_unacknowledged, broker.client, broker.namespace, _QUEUE),
        service.rows.check_completed,
    )


def _unacknowledged(client: Any, namespace: str, queue: str) -> int:
    return int(client.hlen(f"{namespace}:{queue}.msgs"))
