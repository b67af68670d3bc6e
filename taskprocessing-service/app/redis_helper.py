"""What task processing keeps in Redis: tasks and flight availability. Database 1.

Tasks were bookings once; class, methods and keys keep that name.
"""

from collections.abc import Callable
from typing import Any

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    get_redis_client,
    keys,
)

REDIS_DB = 1

_HOUR = 3600  # seconds
_FIVE_MINUTES = 300
# An hour in all, for the last five minutes of which one reader loads it anew.
_TASKS = Policy(ttl=_HOUR - 300, stale_for=300)
_AVAILABILITY = Policy(ttl=_FIVE_MINUTES - 30, stale_for=30)


class BookingRedisHelper:
    """Each call is one round trip, and times to live are seconds.

    While Redis is unavailable reads miss, fills are skipped (False), and invalidations raise
    RedisUnavailable.
    """

    def __init__(self, redis_client: RedisClient | None = None) -> None:
        self._cache = Cache(redis_client or get_redis_client(default_db=REDIS_DB))

    def cache_booking(
        self, task_id: int | str, task_data: dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Cache a task. False when an outage prevented it."""
        return self._cache.put(keys.booking(task_id), task_data, ttl)

    def get_cached_booking(self, task_id: int | str) -> dict[str, Any] | None:
        """The cached task, or None on a miss."""
        task: dict[str, Any] | None = self._cache.get(keys.booking(task_id))
        return task

    def get_or_load_booking(
        self, task_id: int, load: Callable[[], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """The cached task, else what `load()` gives, which is cached. See Cache.get_or_load."""
        task: dict[str, Any] | None = self._cache.get_or_load(keys.booking(task_id), load, _TASKS)
        return task

    def invalidate_booking_cache(self, task_id: int | str) -> bool:
        """Forget the cached task. Whether there was one. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.booking(task_id)) > 0

    def cache_user_bookings(
        self, user_id: int | str, tasks: list[dict[str, Any]], ttl: float = _HOUR
    ) -> bool:
        """Cache the tasks of a user. False when an outage prevented it."""
        return self._cache.put(keys.user_bookings(user_id), tasks, ttl)

    def get_cached_user_bookings(self, user_id: int | str) -> list[dict[str, Any]] | None:
        """The cached tasks of a user, or None on a miss. A user without tasks has []."""
        tasks: list[dict[str, Any]] | None = self._cache.get(keys.user_bookings(user_id))
        return tasks

    def get_or_load_user_bookings(
        self, user_id: int, load: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The cached tasks of a user, else what `load()` gives, which is cached."""
        tasks: list[dict[str, Any]] = self._cache.get_or_load(
            keys.user_bookings(user_id), load, _TASKS
        )
        return tasks

    def invalidate_user_bookings_cache(self, user_id: int | str) -> bool:
        """Forget the tasks of a user. Whether any were cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.user_bookings(user_id)) > 0

    def cache_flight_availability(
        self, flight_id: int | str, available_seats: int, ttl: float = _FIVE_MINUTES
    ) -> bool:
        """Cache how many seats are left. False when an outage prevented it."""
        return self._cache.put(keys.flight_availability(flight_id), available_seats, ttl)

    def get_cached_flight_availability(self, flight_id: int | str) -> int | None:
        """How many seats are left, or None on a miss. No seats is 0."""
        seats: int | None = self._cache.get(keys.flight_availability(flight_id))
        return seats

    def get_or_load_flight_availability(
        self, flight_id: int, load: Callable[[], int | None]
    ) -> int | None:
        """How many seats are left by the cache, else by `load()`, which is cached."""
        seats: int | None = self._cache.get_or_load(
            keys.flight_availability(flight_id), load, _AVAILABILITY
        )
        return seats

    def invalidate_flight_availability_cache(self, flight_id: int | str) -> bool:
        """Forget how many seats are left. Whether it was cached. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.flight_availability(flight_id)) > 0
