"""The extension object."""

from flask import Flask

from ..cache_handlers import Cache, Limiter, RedisClient, SessionStore, get_redis_client
from .configuration import Configuration
from .outages import register_outages
from .state import NAME, AppState, current_state


class Portal:
    """Caching, rate limits and sessions for Flask apps.

    One object may serve several apps: what it does depends on the current app. `init_app` reads the
    settings, and opens no connection.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Use the extension in `app`.

        The variables REDIS_*, SESSION_REDIS_* and PORTAL_* come from `app.config`, else from the
        environment. Raises ConfigurationError for an invalid one, and RuntimeError for an app that
        has the extension already.
        """
        if NAME in app.extensions:
            raise RuntimeError(f"{app.name!r} uses the extension already")
        configuration = Configuration(app.config)
        app.extensions[NAME] = _state_of(app, configuration)
        register_outages(app)

    @property
    def redis(self) -> RedisClient:
        """The client of the current app's caches."""
        return self.cache.client

    @property
    def cache(self) -> Cache:
        """The cache of the current app."""
        return current_state().cache

    @property
    def limiter(self) -> Limiter:
        """The rate limits of the current app."""
        return current_state().limiter

    @property
    def sessions(self) -> SessionStore:
        """The sessions of the current app."""
        return current_state().sessions


def _state_of(app: Flask, configuration: Configuration) -> AppState:
    settings = configuration.portal
    caches = get_redis_client(settings=configuration.redis)
    # Limits are in the database of the sessions, as those of the portal's services are.
    shared = get_redis_client(configuration.session_db, settings=configuration.session_redis)
    return AppState(
        app=app,
        settings=settings,
        cache=Cache(caches),
        limiter=Limiter(shared, service=settings.service or app.name),
        sessions=SessionStore(
            shared,
            idle_seconds=settings.session_idle_seconds,
            absolute_seconds=settings.session_absolute_seconds,
            max_per_user=configuration.session_limits.max_per_user,
        ),
    )
