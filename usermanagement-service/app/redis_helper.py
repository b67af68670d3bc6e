"""What user management keeps in Redis: users, lookups, rate limits. Database 0."""

from typing import Any

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    get_redis_client,
    keys,
)

REDIS_DB = 0

_HOUR = 3600  # seconds


class UserManagementRedisHelper:
    """Make one and keep it: while Redis is unavailable its rate limits are counted in here.

    Each call is one round trip. While Redis is unavailable reads miss, fills are skipped, limits
    are counted in this process, and invalidations raise RedisUnavailable.
    """

    def __init__(self, redis_client: RedisClient | None = None) -> None:
        client = redis_client or get_redis_client(default_db=REDIS_DB)
        self._cache = Cache(client)
        self._limiter = Limiter(client)

    def cache_user(self, user_id: int | str, user_data: dict[str, Any], ttl: float = _HOUR) -> bool:
        """Cache a user for `ttl` seconds. False when an outage prevented it."""
        return self._cache.put(keys.user(user_id), user_data, ttl)

    def get_cached_user(self, user_id: int | str) -> dict[str, Any] | None:
        """The cached user, or None on a miss."""
        user: dict[str, Any] | None = self._cache.get(keys.user(user_id))
        return user

    def invalidate_user_cache(self, user_id: int | str) -> bool:
        """Forget the cached user. Whether there was one. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.user(user_id)) > 0

    def cache_user_lookup(
        self,
        user_id: int | str,
        *,
        username: str | None = None,
        email: str | None = None,
        ttl: float = _HOUR,
    ) -> bool:
        """Remember whose username and e-mail address these are, for `ttl` seconds.

        Neither is told apart by case. False when an outage prevented it.
        """
        lookups = _lookup_keys(username, email)
        return self._cache.put_many(dict.fromkeys(lookups, user_id), ttl)

    def get_user_id_by_username(self, username: str) -> int | str | None:
        """The id that was cached for the username, or None on a miss."""
        user_id: int | str | None = self._cache.get(keys.username_lookup(username))
        return user_id

    def get_user_id_by_email(self, email: str) -> int | str | None:
        """The id that was cached for the e-mail address, or None on a miss."""
        user_id: int | str | None = self._cache.get(keys.email_lookup(email))
        return user_id

    def invalidate_user_lookup(
        self, *, username: str | None = None, email: str | None = None
    ) -> bool:
        """Forget whose these are. Whether anything was known. Raises RedisUnavailable."""
        return self._cache.invalidate(*_lookup_keys(username, email)) > 0

    def check_rate_limit(self, key: str, limit: int = 10, window: int = 60) -> tuple[bool, int]:
        """Count one use of `key`: whether it is within `limit` in any `window` seconds, and how
        many are left. What is refused does not count.
        """
        policy = RateLimit("window", limit, window)
        decision = self._limiter.hit(Charge(policy, key))
        return decision.allowed, decision.remaining


def _lookup_keys(username: str | None, email: str | None) -> list[str]:
    found = []
    if username is not None:
        found.append(keys.username_lookup(username))
    if email is not None:
        found.append(keys.email_lookup(email))
    if not found:
        raise TypeError("a lookup needs a username or an email")
    return found
