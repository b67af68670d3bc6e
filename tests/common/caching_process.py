"""A process that reads and writes the item of items.py, as far as Redis can tell."""

from typing import Any

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, SessionStore
from common.pyportal_common.db import Database

from .items import value_of

HOUR = Policy(ttl=3600)
T = 1.0  # seconds of trust


class Process:
    """A process with its own connections to Redis and SQL."""

    def __init__(self, client: RedisClient, sql_url: str, **options: Any) -> None:
        self.client = client
        self.cache = Cache(client)
        self.database = Database(
            sql_url,
            cache=self.cache,
            sessions=SessionStore(client),
            **{"trust_seconds": T, **options},
        )

    def read(self) -> int:
        """The value of the item, through the cache."""
        value: int = self.cache.get_or_load("item:1", lambda: value_of(self.database), HOUR)
        return value
