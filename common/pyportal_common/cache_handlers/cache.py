"""Cached values: plain JSON under a key, exactly as redis-cli shows it."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import redis

from .client import RedisClient, to_json
from .exceptions import RedisPoolExhausted
from .resilience import Use, during_outage

logger = logging.getLogger(__name__)


class Cache:
    """Values that SQL holds too. Redis may lose them at any time, and so may an outage.

    Times to live are seconds, and required: nothing is cached for ever.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def get(self, key: str, default: Any = None) -> Any:
        """The cached value, or `default` on a miss. One round trip.

        A miss is also what an outage gives, and a value that is not JSON: then SQL is asked and
        the next `put` mends it.
        """
        try:
            text = during_outage(Use.CACHE_READ, lambda: self._client.get(key), lambda: None)
            return default if text is None else json.loads(text)
        except (ValueError, RecursionError, redis.ResponseError):
            logger.warning("Redis holds no JSON under %s: taken for a miss", key)
            return default

    def put(self, key: str, value: Any, ttl: float) -> bool:
        """Cache `value` for `ttl` seconds. False when an outage prevented it. One round trip."""
        return self.put_many({key: value}, ttl)

    def put_many(self, values: Mapping[str, Any], ttl: float) -> bool:
        """Cache all `values` for `ttl` seconds. False when an outage, or a full pool, prevented it.

        One round trip. TypeError or ValueError for what has no JSON form, as set_json.
        """
        texts = {key: to_json(value) for key, value in values.items()}

        def fill() -> bool:
            try:
                self._client.set_many(texts, ttl)
            except RedisPoolExhausted:
                return False  # what was to be cached is done: it must not fail for that
            return True

        return during_outage(Use.CACHE_FILL, fill, lambda: False)

    def invalidate(self, *keys: str) -> int:
        """Remove the values; how many there were. One round trip.

        Raises RedisUnavailable on an outage, because the old values would stay.
        """
        return during_outage(Use.INVALIDATION, lambda: self._client.delete(*keys), lambda: 0)
