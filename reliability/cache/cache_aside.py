"""What `--plain` runs in place of the protocol: cache-aside, as most applications have it."""

from collections.abc import Callable
from typing import Any

from app.redis_helper import UserManagementRedisHelper


class CacheAsideHelper(UserManagementRedisHelper):
    """Look in the cache, else in SQL, and put what was there into the cache."""

    def get_or_load_user(
        self, user_id: int, load: Callable[[], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """The cached user, else what `load()` gives, which is cached."""
        user = self.get_cached_user(user_id)
        if user is None:
            user = load()
            if user is not None:
                self.cache_user(user_id, user)
        return user

    def get_or_load_user_id(
        self,
        load: Callable[[], int | None],
        *,
        username: str | None = None,  # noqa: ARG002  nobody looks for one here
        email: str | None = None,
    ) -> int | None:
        """The cached id for an e-mail address, else what `load()` gives, which is cached."""
        if email is None:
            return load()
        user_id = self.get_user_id_by_email(email)
        if user_id is None:
            user_id = load()
            if user_id is not None:
                self.cache_user_lookup(user_id, email=email)
        return None if user_id is None else int(user_id)

    def forget(self, user_id: int, *addresses: str) -> None:
        """What a writer does after its commit. Raises RedisUnavailable."""
        self.invalidate_user_cache(user_id)
        for email in addresses:
            self.invalidate_user_lookup(email=email)
