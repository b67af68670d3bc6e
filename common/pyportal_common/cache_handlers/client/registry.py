"""The clients of a process: one pool for each server and database, and one breaker a server."""

import os
import threading

from .breaker import Breaker
from .client import RedisClient
from .connections import breaker_for
from .settings import RedisSettings


class _Registry:
    """The clients of this process. A forked child starts with none."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.clients: dict[tuple[RedisSettings, int], RedisClient] = {}
        self.breakers: dict[RedisSettings, Breaker] = {}

    def client(self, settings: RedisSettings, db: int) -> RedisClient:
        with self.lock:
            if (settings, db) not in self.clients:
                if settings not in self.breakers:
                    self.breakers[settings] = breaker_for(settings)
                self.clients[settings, db] = RedisClient.connect(
                    settings, db=db, breaker=self.breakers[settings]
                )
            return self.clients[settings, db]

    def close(self) -> None:
        with self.lock:
            for client in self.clients.values():
                client.close()
            for breaker in self.breakers.values():
                breaker.close()
            self.clients.clear()
            self.breakers.clear()


_registry = _Registry()


def get_redis_client(
    db: int | None = None, *, settings: RedisSettings | None = None, default_db: int = 0
) -> RedisClient:
    """The client of this process for a database: each call with the same one shares a pool.

    `db` wins over the database of REDIS_URL, that over REDIS_DB, that over `default_db`. Without
    `settings` the environment is read. All databases of a server share its breaker. Raises
    ConfigurationError when a REDIS_* variable cannot be used; nothing is sent to the server.
    """
    global _registry
    if _registry.pid != os.getpid():
        _registry = _Registry()
    settings = settings or RedisSettings.load()
    return _registry.client(settings, settings.database(default_db) if db is None else db)


def close_redis_clients() -> None:
    """Close what `get_redis_client` opened in this process. Its clients must not be used again."""
    _registry.close()
