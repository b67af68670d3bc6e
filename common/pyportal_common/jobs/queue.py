"""The queues: Dramatiq over Redis, which carries the ids of jobs, and may lose them."""

import logging
from collections.abc import Callable
from typing import Any

from dramatiq import Actor, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import TimeLimit

from ..cache_handlers import (
    RedisLayerError,
    client_for_a_library,
    get_redis_client,
)
from .models import PRIORITIES
from .settings import QueueSettings
from .store import Due

logger = logging.getLogger(__name__)

_HEARTBEAT_MS = 15_000  # of workers: then what they had fetched is given to others
_MAINTENANCE = 20_000  # in a million commands; by default that takes minutes to happen


class JobQueue:
    """The queues of one service: one for each kind of job and priority."""

    def __init__(self, service: str, settings: QueueSettings) -> None:
        server, db = settings.server()
        self._guard = get_redis_client(db, settings=server)
        self.broker = _Broker(  # type: ignore[no-untyped-call]  # its base has no types
            namespace=service,
            client=client_for_a_library(server, db),
            middleware=[TimeLimit()],
            heartbeat_timeout=_HEARTBEAT_MS,
            maintenance_chance=_MAINTENANCE,
        )

    def send(self, due: Due) -> bool:
        """Tell workers of a job. False where Redis is unavailable: the sweeper will, then.

        One round trip.
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
            logger.debug("Job %d is not sent: %s", due.id, error)
            return False
        except Exception:  # its row is committed, whatever Redis says
            logger.exception("Job %d is not sent", due.id)
            return False
        return True

    def size(self, kind: str, priority: str) -> int:
        """How many messages wait there. Raises RedisUnavailable.

        Not by Dramatiq's own count, which has those in it that a worker fetched and, because of an
        outage, could not acknowledge: they stay for as long as the worker lives.
        """
        return int(self._guard.execute("LLEN", f"{self.broker.namespace}:{_name(kind, priority)}"))

    def consume(self, kind: str, work: Callable[[int], None]) -> None:
        """Have the workers of this process call `work` for each job of a kind that is sent."""
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
    """Without queues for delayed messages, which rows that are not yet due do without."""

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)
