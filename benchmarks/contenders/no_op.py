"""A worker of Dramatiq alone, whose one actor does nothing: the floor for a task."""

import os
import signal
import threading

from dramatiq import Actor, Worker
from dramatiq.brokers.redis import RedisBroker

NAMESPACE, QUEUE, ACTOR = "no-op", "default", "nothing"


def broker_at(url: str) -> RedisBroker:
    """Dramatiq's broker as it comes."""
    return RedisBroker(url=url, namespace=NAMESPACE)


def main() -> None:
    """Work until SIGTERM, with as many threads as our worker, and as short a sleep."""
    asked_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.set())
    broker = broker_at(os.environ["BROKER_URL"])
    Actor(lambda _: None, broker=broker, actor_name=ACTOR, queue_name=QUEUE, priority=0, options={})
    broker.emit_after("process_boot")
    worker = Worker(broker, worker_threads=8, worker_timeout=100)
    worker.start()
    asked_to_stop.wait()
    worker.stop()


if __name__ == "__main__":
    main()
