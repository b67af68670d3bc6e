"""What Redis and the pools of connections are like in a worker, for its heartbeats."""

from collections.abc import Collection, Iterator

from prometheus_client import Counter, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..cache_handlers import Observer, RedisClient
from ..db import Database

_STATES = {"ok": "up", "refusing": "refusing", "unavailable": "down"}


class WorkerState(Observer, Collector):
    """The state of Redis as the worker knows it, and the use of its pools at this moment.

    It sends nothing: a heartbeat must not wait for Redis.
    """

    def __init__(self, redis_clients: Collection[RedisClient], database: Database) -> None:
        self._redis_clients = redis_clients
        self._database = database
        self._outages = Counter(
            "worker_redis_outages", "Times that a worker found Redis unavailable.", registry=None
        )
        for client in redis_clients:
            client.observe(self)

    def breaker(self, *, is_open: bool) -> None:
        """See Observer."""
        if is_open:
            self._outages.inc()

    def collect(self) -> Iterator[Metric]:
        """The metrics of a heartbeat."""
        yield from self._outages.collect()
        yield self._redis_states()
        clients, database = self._redis_clients, self._database
        yield _by_pool(
            "worker_pool_connections_in_use",
            "Connections that a worker used at its heartbeat.",
            redis=max(client.connections_in_use for client in clients),
            sql=database.connections_in_use,
        )
        yield _by_pool(
            "worker_pool_size",
            "Connections that a worker may have at a time.",
            redis=min(client.max_connections for client in clients),
            sql=database.pool_size,
        )

    def _redis_states(self) -> Metric:
        family = GaugeMetricFamily(
            "worker_redis_state",
            "1 for the state of a Redis database in a worker: up, refusing or down.",
            labels=["database", "state"],
        )
        for client in self._redis_clients:
            current = _STATES[client.breaker.status(client.name).state]
            for state in _STATES.values():
                family.add_metric([client.name, state], int(state == current))
        return family


def _by_pool(name: str, text: str, **values: int) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["pool"])
    for pool, value in values.items():
        family.add_metric([pool], value)
    return family
