"""Dramatiq alone, with one actor that does nothing: the floor for a task.

`fill N` sends so many messages; `work` runs a worker until SIGTERM, with as many threads as ours
and Dramatiq's own defaults. It runs in a separate environment, .venv/peers.
"""

import os
import signal
import sys
import threading

from dramatiq import Actor, Worker
from dramatiq.brokers.redis import RedisBroker


def main() -> None:
    """Do what the command line says."""
    broker = RedisBroker(url=os.environ["BROKER_URL"])
    actor = Actor(
        lambda: None,
        broker=broker,
        actor_name="nothing",
        queue_name="default",
        priority=0,
        options={},
    )
    match sys.argv[1:]:
        case ["fill", count]:
            for _ in range(int(count)):
                actor.send()
        case ["work"]:
            _work(broker)


def _work(broker: RedisBroker) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    broker.emit_after("process_boot")
    worker = Worker(broker, worker_threads=8)
    worker.start()
    stopping.wait()
    worker.stop()


if __name__ == "__main__":
    main()
