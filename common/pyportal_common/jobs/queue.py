"""The queues: Dramatiq over Redis carries the ids of jobs, and may lose them."""

import logging
from collections.abc import Callable
from typing import Any

from dramatiq import Actor, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import TimeLimit

from ..cache_handlers import RedisLayerError, client_for_a_library, get_redis_client
from .models import PRIORITIES
from .settings import QueueSettings
from .store import Due

logger = logging.getLogger(__name__)

_HEARTBEAT_MS = 15_000  # a worker's; after that its messages are given to other workers
_MAINTENANCE_CHANCE = 20_000  # in a million commands; with the default it takes minutes


class JobQueue:
    """The queues of one service, one for each kind of job and priority."""

    def __init__(self, service: str, settings: QueueSettings) -> None:
        server, db = settings.server()
        self._guard = get_redis_client(db, settings=server)
        self.broker = _Broker(  # type: ignore[no-untyped-call]  # its base has no types
            namespace=service,
            client=client_for_a_library(server, db),
            middleware=[TimeLimit()],
            heartbeat_timeout=_HEARTBEAT_MS,
            maintenance_chance=_MAINTENANCE_CHANCE,
        )

    def send(self, due: Due) -> bool:
        """Send a job to the workers, in one round trip.

        Returns False if Redis is unavailable; the sweeper then sends the job later.
        """
        name = _name(due.kind, due.priority)
        message: Message[Any] = Message(
            queue_name=name,
            actor_name=name,
            args=(due.id,),
            kwargs={},
            options={"time_limit": round(due.time_limit_seconds * 1000)},
        )
        try:
            self._guard.guard(self.broker.enqueue, message)
        except RedisLayerError as error:
            logger.debug("Job %d was not sent: %s", due.id, error)
            return False
        except Exception:  # the row is committed, so the caller must not fail
            logger.exception("Job %d was not sent", due.id)
            return False
        return True

    def size(self, kind: str, priority: str) -> int:
        """The number of waiting messages. Raises RedisUnavailable.

        Dramatiq's own count includes messages that a worker fetched but could not acknowledge in an
        outage; they remain for as long as the worker lives.
        """
        return int(self._guard.execute("LLEN", f"{self.broker.namespace}:{_name(kind, priority)}"))

    def consume(self, kind: str, work: Callable[[int], None]) -> None:
        """Make the workers of this process call `work` with the id of each job of a kind."""
        for rank, priority in enumerate(PRIORITIES):
            name = _name(kind, priority)
            Actor(
                work,
                broker=self.broker,
                actor_name=name,
                queue_name=name,
                priority=rank,
                options={},
            )

    def close(self) -> None:
        """Close every connection."""
        self.broker.client.connection_pool.disconnect()


def _name(kind: str, priority: str) -> str:
    return f"{kind}.{priority}"


class _Broker(RedisBroker):
    """A broker without queues for delayed messages: rows that are not yet due are not sent."""

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)
