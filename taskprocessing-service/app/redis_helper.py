"""The service's cache in Redis database 1: tasks and flight availability.

Tasks were called bookings in earlier versions; the class, its methods and the keys keep that name.
"""

from typing import Any

from common.pyportal_common.cache_handlers import Cache, RedisClient, get_redis_client, keys

REDIS_DB = 1

_HOUR = 3600  # seconds
_FIVE_MINUTES = 300


class BookingRedisHelper:
    """The integration guide's interface to the cache. Each call is one round trip.

    Every `ttl` is in seconds. While Redis is unavailable, reads are misses, fills are skipped
    (False), and invalidations raise RedisUnavailable.
    """

    def __init__(self, redis_client: RedisClient | None = None) -> None:
        self._cache = Cache(redis_client or get_redis_client(default_db=REDIS_DB))

    def cache_booking(
        self, task_id: int | str, task_data: dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Cache a task. False when an outage prevented it."""
        return self._cache.put(keys.booking(task_id), task_data, ttl)

    def get_cached_booking(self, task_id: int | str) -> dict[str, Any] | None:
        """Return the cached task, or None on a miss."""
        task: dict[str, Any] | None = self._cache.get(keys.booking(task_id))
        return task

    def invalidate_booking_cache(self, task_id: int | str) -> bool:
        """Remove the cached task. False if none was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.booking(task_id)) > 0

    def cache_flight_availability(
        self, flight_id: int | str, available_seats: int, ttl: float = _FIVE_MINUTES
    ) -> bool:
        """Cache how many seats are left. False when an outage prevented it."""
        return self._cache.put(keys.flight_availability(flight_id), available_seats, ttl)

    def get_cached_flight_availability(self, flight_id: int | str) -> int | None:
        """Return how many seats are left, or None on a miss; 0 for a full flight."""
        seats: int | None = self._cache.get(keys.flight_availability(flight_id))
        return seats

    def invalidate_flight_availability_cache(self, flight_id: int | str) -> bool:
        """Remove the cached number of seats. False if none was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.flight_availability(flight_id)) > 0
