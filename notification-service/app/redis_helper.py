"""What notification keeps in Redis: notifications and delivery status. Database 2."""

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
# An hour in all, for the last five minutes of which one reader loads it anew.
_VALUES = Policy(ttl=_HOUR - 300, stale_for=300)


class NotificationRedisHelper:
    """Each call is one round trip, and times to live are seconds.

    While Redis is unavailable reads miss, fills are skipped (False), and invalidations raise
    RedisUnavailable.
    """

    def __init__(self, redis_client: RedisClient | None = None) -> None:
        self._cache = Cache(redis_client or get_redis_client(default_db=REDIS_DB))

    def cache_notification(
        self, notification_id: int | str, notification: dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Cache a notification. False when an outage prevented it."""
        return self._cache.put(keys.notification(notification_id), notification, ttl)

    def get_cached_notification(self, notification_id: int | str) -> dict[str, Any] | None:
        """The cached notification, or None on a miss."""
        found: dict[str, Any] | None = self._cache.get(keys.notification(notification_id))
        return found

    def invalidate_notification_cache(self, notification_id: int | str) -> bool:
        """Forget the notification. Whether it was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.notification(notification_id)) > 0

    def cache_delivery_status(
        self, notification_id: int | str, status: str | dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Cache how far the delivery has come. False when an outage prevented it."""
        return self._cache.put(keys.notification_status(notification_id), status, ttl)

    def get_delivery_status(self, notification_id: int | str) -> str | dict[str, Any] | None:
        """How far the delivery has come, or None on a miss."""
        status: str | dict[str, Any] | None = self._cache.get(
            keys.notification_status(notification_id)
        )
        return status

    def invalidate_delivery_status(self, notification_id: int | str) -> bool:
        """Forget the status. Whether it was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.notification_status(notification_id)) > 0

    def get_or_load_notification(
        self, notification_id: int, load: Callable[[], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """The cached notification, else what `load()` gives, which is cached."""
        found: dict[str, Any] | None = self._cache.get_or_load(
            keys.notification(notification_id), load, _VALUES
        )
        return found

    def get_or_load_delivery_status(
        self, notification_id: int, load: Callable[[], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """How far the delivery has come, by the cache, else by `load()`, which is cached."""
        status: dict[str, Any] | None = self._cache.get_or_load(
            keys.notification_status(notification_id), load, _VALUES
        )
        return status

    def get_or_load_user_notifications(
        self, user_id: int, load: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The cached newest notifications of a user, else what `load()` gives, which is cached."""
        found: list[dict[str, Any]] = self._cache.get_or_load(
            keys.user_notifications(user_id), load, _VALUES
        )
        return found
