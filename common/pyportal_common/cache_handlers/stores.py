"""What an app or a worker keeps in Redis, made from the settings."""

from dataclasses import dataclass
from typing import Self

from ..settings import Load, from_environment
from .cache.cache import Cache
from .client.client import RedisClient
from .client.registry import get_redis_client
from .client.settings import RedisSettings, SessionSettings
from .rate_limits.limiter import Limiter
from .sessions.store import SessionLimits, SessionStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The cache, the sessions and the rate limits.

    Limits are in the database of the sessions, so that one round trip reads both: see Admission.
    """

    cache: Cache
    sessions: SessionStore
    limiter: Limiter

    @classmethod
    def of(cls, service: str, caches: RedisClient, sessions: SessionStore) -> Self:
        """Those with these clients. `service` is part of the keys of limits."""
        return cls(Cache(caches), sessions, Limiter(sessions.client, service=service))

    @classmethod
    def connect(
        cls,
        service: str,
        *,
        load: Load = from_environment,
        default_db: int = 0,
        is_shared: bool = True,
        **options: float,
    ) -> Self:
        """Those of REDIS_*, SESSION_REDIS_* and SESSION_MAX_PER_USER. Opens no connection.

        `default_db` is the database of the cache if the variables name none. The client of the
        cache is the one of the process unless `is_shared` is False. `options` are those of
        SessionStore. Raises ConfigurationError.
        """
        redis = load(RedisSettings)
        if is_shared:
            caches = get_redis_client(settings=redis, default_db=default_db)
        else:
            caches = RedisClient.connect(redis, db=redis.database(default_db))
        server, database = load(SessionSettings).server(load)
        sessions = SessionStore(
            get_redis_client(database, settings=server),
            max_per_user=load(SessionLimits).max_per_user,
            **options,
        )
        return cls.of(service, caches, sessions)
