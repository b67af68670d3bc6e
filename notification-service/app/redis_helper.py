"""Notification's cache in Redis, in database 2: notifications and delivery status."""

from typing import Any

from common.pyportal_common.cache_handlers import (
    Cache,
    RedisClient,
    get_redis_client,
    keys,
)

REDIS_DB = 2

_HOUR = 3600  # seconds


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
