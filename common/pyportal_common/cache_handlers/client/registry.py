"""The clients of a process: one pool for each server and database, one breaker for each server."""

import os
import threading

from .breaker import Breaker
from .client import RedisClient
from .connections import master_of
from .sentinel import Master
from .settings import RedisSettings


class _Registry:
    """The clients of one process. A forked child starts with an empty registry."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._clients: dict[tuple[RedisSettings, int], RedisClient] = {}
        self._breakers: dict[RedisSettings, Breaker] = {}
        self._masters: dict[RedisSettings, Master | None] = {}

    def client(self, settings: RedisSettings, db: int) -> RedisClient:
        with self._lock:
            if (settings, db) not in self._clients:
                breaker = self._breakers.setdefault(settings, Breaker(settings.address))
                if settings not in self._masters:
                    self._masters[settings] = master_of(settings)
                master = self._masters[settings]
                self._clients[settings, db] = RedisClient.connect(
                    settings, db=db, breaker=breaker, master=master
                )
            return self._clients[settings, db]

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            for breaker in self._breakers.values():
                breaker.close()
            self._clients.clear()
            self._breakers.clear()
            self._masters.clear()


_registry = _Registry()


def get_redis_client(
    db: int | None = None, *, settings: RedisSettings | None = None, default_db: int = 0
) -> RedisClient:
    """The client of this process for a database. Calls for the same database share one pool.

    `db` wins over the database of REDIS_URL, that over REDIS_DB, that over `default_db`. Without
    `settings` the environment is read. All databases of a server share its breaker. Raises
    ConfigurationError for an invalid REDIS_* variable. Sends nothing to the server.
    """
    global _registry
    if _registry.pid != os.getpid():
        _registry = _Registry()
    settings = settings or RedisSettings.load()
    return _registry.client(settings, settings.database(default_db) if db is None else db)


def close_redis_clients() -> None:
    """Close every client of `get_redis_client` in this process. They must not be used again."""
    _registry.close()
