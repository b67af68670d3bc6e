"""Notification's cache in Redis, in database 2: notifications and delivery status."""

from collections.abc import Callable
from typing import Any

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    get_redis_client,
    keys,
)

REDIS_DB = 2

_HOUR = 3600  # seconds
# An hour in total. In the last five minutes the value is stale: one reader refreshes it.
_VALUES = Policy(ttl=_HOUR - 300, stale_for=300)


class NotificationRedisHelper:
    """The cache of notifications. Each call is one round trip; a TTL is in seconds.

    While Redis is unavailable, reads miss, fills are skipped and return False, and invalidations
    raise RedisUnavailable.
    """

    def __init__(self, redis_client: RedisClient | None = None) -> None:
        self._cache = Cache(redis_client or get_redis_client(default_db=REDIS_DB))

    def cache_notification(
        self, notification_id: int | str, notification: dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Cache a notification. False if Redis is unavailable."""
        return self._cache.put(keys.notification(notification_id), notification, ttl)

    def get_cached_notification(self, notification_id: int | str) -> dict[str, Any] | None:
        """The cached notification, or None on a miss."""
        found: dict[str, Any] | None = self._cache.get(keys.notification(notification_id))
        return found

    def invalidate_notification_cache(self, notification_id: int | str) -> bool:
        """Invalidate the notification; True if it was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.notification(notification_id)) > 0

    def cache_delivery_status(
        self, notification_id: int | str, status: str | dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Cache the delivery status. False if Redis is unavailable."""
        return self._cache.put(keys.notification_status(notification_id), status, ttl)

    def get_delivery_status(self, notification_id: int | str) -> str | dict[str, Any] | None:
        """The cached delivery status, or None on a miss."""
        status: str | dict[str, Any] | None = self._cache.get(
            keys.notification_status(notification_id)
        )
        return status

    def invalidate_delivery_status(self, notification_id: int | str) -> bool:
        """Invalidate the delivery status; True if it was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.notification_status(notification_id)) > 0

    def get_or_load(self, key: str, load: Callable[[], Any]) -> Any:
        """The cached value of a key, or the result of `load()`, which is then cached."""
        return self._cache.get_or_load(key, load, _VALUES)
