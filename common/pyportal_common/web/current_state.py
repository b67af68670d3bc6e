"""Metrics that are read at each scrape: what this service and what it depends on are like now."""

import platform
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from .. import __version__
from ..cache_handlers import RedisClient
from ..db import Database

_STATES = {"ok": "up", "refusing": "refusing", "unavailable": "down"}


class CurrentState(Collector):
    """The state of Redis, the sizes of pools, the oldest pending record, the disk and the version.

    A scrape costs one round trip for each Redis database, and one statement.
    """

    def __init__(
        self, redis_clients: Collection[RedisClient], database: Database | None, data_dir: Path
    ) -> None:
        self._redis_clients = redis_clients
        self._database = database
        self._data_dir = data_dir

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of /metrics. Those that are read from SQL are missing without it."""
        build = GaugeMetricFamily(
            "pyportal_build_info", "The release that responds.", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        yield self._redis_states()
        yield self._pool_sizes()
        yield from self._oldest_record()
        yield from self._disk()

    def _redis_states(self) -> GaugeMetricFamily:
        """As of a write in this moment, which /health makes as well."""
        family = GaugeMetricFamily(
            "redis_state",
            "1 for the state of a Redis database: up, refusing or down.",
            labels=["database", "state"],
        )
        for client in self._redis_clients:
            current = _STATES[client.check().state]
            for state in _STATES.values():
                family.add_metric([client.name, state], int(state == current))
        return family

    def _pool_sizes(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "pool_size", "Connections that a process may have at a time.", labels=["pool"]
        )
        family.add_metric(["redis"], min(each.max_connections for each in self._redis_clients))
        if self._database is not None:
            family.add_metric(["sql"], self._database.pool_size)
        return family

    def _oldest_record(self) -> Iterator[GaugeMetricFamily]:
        if self._database is None or self._database.invalidations is None:
            return
        try:
            seconds = self._database.invalidations.records.oldest_pending_seconds()
        except SQLAlchemyError:
            return
        yield GaugeMetricFamily(
            "cache_invalidations_oldest_pending_seconds",
            "The age of the oldest recorded invalidation that is not applied, or 0.",
            seconds,
        )

    def _disk(self) -> Iterator[GaugeMetricFamily]:
        """The file system of DATA_DIR, which a service with PostgreSQL need not have created."""
        folder = self._data_dir.absolute()
        existing = next(each for each in (folder, *folder.parents) if each.is_dir())
        usage = shutil.disk_usage(existing)
        yield GaugeMetricFamily("data_disk_free_bytes", "Free space at DATA_DIR.", usage.free)
        yield GaugeMetricFamily("data_disk_size_bytes", "Size of the disk.", usage.total)
