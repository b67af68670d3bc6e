"""The service's data in Redis database 0: users, lookups, sessions and rate limits."""

from collections.abc import Callable
from typing import Any

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Fill,
    JsonValue,
    Limiter,
    Number,
    Policy,
    RateLimit,
    RedisClient,
    SessionLimits,
    SessionStore,
    get_redis_client,
    get_session_client,
    keys,
)

from .users.schemas import CACHED_USER

REDIS_DB = 0

_HOUR = 3600  # seconds
# An hour in total. During the last five minutes one reader refreshes the value.
USER_CACHING = Policy(ttl=_HOUR - 300, stale_for=300, shape=CACHED_USER.document)
LOOKUP_CACHING = Policy(ttl=_HOUR, shape=Number())


class UserManagementRedisHelper:
    """Make one and keep it: while Redis is unavailable, it counts the rate limits itself.

    Each call is one round trip unless its docstring gives another number. While Redis is
    unavailable, reads miss, fills are skipped and limits are counted in this process; invalidations
    and all session calls raise RedisUnavailable.
    """

    def __init__(
        self,
        redis_client: RedisClient | None = None,
        session_client: RedisClient | None = None,
    ) -> None:
        client = redis_client or get_redis_client(default_db=REDIS_DB)
        self._cache = Cache(client)
        self._limiter = Limiter(client)
        self._sessions = SessionStore(
            session_client or redis_client or get_session_client(),
            max_per_user=SessionLimits.load().max_per_user,
        )

    def cache_user(self, user_id: int | str, user_data: dict[str, Any], ttl: float = _HOUR) -> bool:
        """Cache a user for `ttl` seconds. False when an outage prevented it."""
        return self._cache.put(keys.user(user_id), user_data, ttl)

    def get_cached_user(self, user_id: int | str) -> dict[str, Any] | None:
        """The cached user, or None on a miss."""
        user: dict[str, Any] | None = self._cache.get(keys.user(user_id))
        return user

    def find_user(self, user_id: int, load: Callable[[], dict[str, Any] | None]) -> JsonValue:
        """The cached user, or else the result of `load()`, then cached. See Cache.find."""
        return self._cache.find(keys.user(user_id), load, USER_CACHING)

    def get_or_load_user_id(
        self,
        load: Callable[[], int | None],
        *,
        username: str | None = None,
        email: str | None = None,
    ) -> int | None:
        """The cached id for a username or an e-mail address, or else the result of `load()`."""
        (key,) = _lookup_keys(username, email)
        user_id: int | None = self._cache.get_or_load(key, load, LOOKUP_CACHING)
        return user_id

    @staticmethod
    def fills_of(user: dict[str, Any]) -> dict[str, Fill]:
        """A user and the lookups, for `fill_at_commit`."""
        lookups = _lookup_keys(user["username"], user["email"])
        lookup = Fill.of(user["id"], LOOKUP_CACHING)
        return {
            keys.user(user["id"]): Fill.of(user, USER_CACHING),
            **dict.fromkeys(lookups, lookup),
        }

    def invalidate_user_cache(self, user_id: int | str) -> bool:
        """Remove a user from the cache. Whether it was there. Raises RedisUnavailable."""
        return self._cache.invalidate(keys.user(user_id)) > 0

    def cache_user_lookup(
        self,
        user_id: int | str,
        *,
        username: str | None = None,
        email: str | None = None,
        ttl: float = _HOUR,
    ) -> bool:
        """Cache the user id for a username, an e-mail address or both, for `ttl` seconds.

        Case is ignored. False when an outage prevented it.
        """
        lookups = _lookup_keys(username, email)
        return self._cache.put_many(dict.fromkeys(lookups, user_id), ttl)

    def get_user_id_by_username(self, username: str) -> int | str | None:
        """The cached id for a username, or None on a miss."""
        user_id: int | str | None = self._cache.get(keys.username_lookup(username))
        return user_id

    def get_user_id_by_email(self, email: str) -> int | str | None:
        """The cached id for an e-mail address, or None on a miss."""
        user_id: int | str | None = self._cache.get(keys.email_lookup(email))
        return user_id

    def invalidate_user_lookup(
        self, *, username: str | None = None, email: str | None = None
    ) -> bool:
        """Remove lookups from the cache. Whether one was there. Raises RedisUnavailable."""
        return self._cache.invalidate(*_lookup_keys(username, email)) > 0

    def create_session(
        self, session_id: str, user_id: int | str, user_data: dict[str, Any], ttl: float = _HOUR
    ) -> bool:
        """Create a session that expires after `ttl` seconds. Replaces one with the same id.

        It ends after twelve hours, however often it is refreshed. The id is a secret and must be
        unguessable.
        """
        self._sessions.create(
            user_id,
            user_data,
            auth_epoch=None,
            session_id=session_id,
            idle_seconds=ttl,
            replace_existing=True,
        )
        return True

    def get_session(self, session_id: str) -> dict[str, Any] | None:
        """`user_id`, `user_data`, `created_at`, `auth_at` and `expires_at` (ISO 8601), or None.

        This does not extend its time to live; `refresh_session` does.
        """
        session = self._sessions.load(session_id, touch=False)
        if session is None:
            return None
        return {
            "user_id": session.user_id,
            "user_data": session.user_data,
            "created_at": session.created_at.isoformat(),
            "auth_at": session.auth_at.isoformat(),
            "expires_at": session.expires_at.isoformat(),
        }

    def refresh_session(self, session_id: str, ttl: float = _HOUR) -> bool:
        """Set a session to expire `ttl` seconds from now. False if there is none."""
        return self._sessions.refresh(session_id, ttl) is not None

    def delete_session(self, session_id: str) -> bool:
        """End a session in all services at once. Whether there was one. Two round trips."""
        return self._sessions.revoke(session_id)

    def check_rate_limit(self, key: str, limit: int = 10, window: int = 60) -> tuple[bool, int]:
        """Count one use of `key`. Returns whether it is allowed, and how many uses are left.

        At most `limit` uses are allowed in any `window` seconds. Refused uses do not count.
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
