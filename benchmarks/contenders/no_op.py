"""A worker of Dramatiq alone, whose only actor does nothing: the floor for a task."""

import os
import signal
import threading

from dramatiq import Actor, Worker
from dramatiq.brokers.redis import RedisBroker

NAMESPACE, QUEUE, ACTOR = "no-op", "default", "nothing"


def broker_at(url: str) -> RedisBroker:
    """Dramatiq's broker with its defaults."""
    return RedisBroker(url=url, namespace=NAMESPACE)


def main() -> None:
    """Run until SIGTERM, with as many threads and as short a queue time-out as our worker."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    broker = broker_at(os.environ["BROKER_URL"])
    Actor(lambda _: None, broker=broker, actor_name=ACTOR, queue_name=QUEUE, priority=0, options={})
    broker.emit_after("process_boot")
    worker = Worker(broker, worker_threads=8, worker_timeout=100)
    worker.start()
    stopping.wait()
    worker.stop()


if __name__ == "__main__":
    main()
