"""The extension object."""

from collections.abc import Callable, Sequence

from flask import Flask

from ..cache_handlers import (
    Cache,
    Limiter,
    OnError,
    Policy,
    RedisClient,
    SessionStore,
    get_redis_client,
)
from .cached import Cached, P, T, cached_function
from .callers import By, caller_of
from .configuration import Configuration
from .limits import View, ViewLimit, limited, register_limits
from .outages import register_outages
from .state import NAME, AppState, UserId, current_state


class Portal:
    """Caching, rate limits and sessions for Flask apps.

    One object may serve several apps: what it does depends on the current app. `init_app` reads the
    settings, and opens no connection.
    """

    def __init__(
        self, app: Flask | None = None, *, user: Callable[[], UserId | None] | None = None
    ) -> None:
        """`user` returns the user of the current request, for limits by user."""
        self._user = user or _unknown_user
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
        app.extensions[NAME] = _state_of(app, configuration, self._user)
        register_outages(app)
        register_limits(app)

    def limit(
        self,
        rates: str | Callable[[], str],
        *,
        by: By = "address",
        cost: int | Callable[[], int] = 1,
        exempt: Callable[[], bool] | None = None,
        methods: Sequence[str] = (),
        name: str | None = None,
        on_error: OnError = "local",
    ) -> Callable[[View], View]:
        """Limit the requests to a view, plain or asynchronous, or to a method of a view class.

        rates     "5/minute; 100 per 2 hours", or a function that returns such a text
        by        whose requests are counted: those of an "address", a "user", a `header(…)`, a
                  `json_field(…)`, or of what a function returns. A request for which it returns
                  None is counted by its address
        cost      what a request counts; more than the limit counts as the limit, less than 1
                  nothing
        exempt    returns whether the request is not counted
        methods   the HTTP methods that are counted; all if empty
        name      of the limit: views whose limits have the same name share them. Otherwise each
                  endpoint has its own
        on_error  what applies while Redis is unavailable, see RateLimit

        A request over a limit raises LimitExceeded, a 429, before the view runs, and counts
        nowhere. Decorators that follow each other directly take one round trip, and charge
        together or not at all. Raises ValueError for rates or a cost that are not valid.
        """
        declared = ViewLimit(
            rates,
            caller_of(by),
            cost,
            exempt,
            tuple(sorted(method.upper() for method in methods)),
            name,
            on_error,
        )
        return lambda view: limited(view, declared)

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

    def cached(
        self,
        key: str | Callable[..., str],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        policy: Policy | None = None,
        unless: Callable[..., bool] | None = None,
    ) -> Callable[[Callable[P, T]], Cached[P, T]]:
        """Cache the results of a function, a method or a plain view.

        key        a template with the function's parameters, "forecast:{city}/{day}", or a function
                   of the same arguments that returns a key of that form
        ttl        how many seconds a result is fresh
        stale_for  how many seconds it is still served after that, while one reader refreshes it
        policy     a Policy instead of these two
        unless     a function of the same arguments; the cache is not used if it returns True

        The function must depend on its arguments only, and read what is committed now. Its result
        is JSON: None, bool, int, float, str, list and dict; another one raises TypeError. Redis in
        an outage is a miss. The decorated function has `invalidate(…)` and `refresh(…)`.

        Raises InvalidKey for a template that does not fit the function, and TypeError for a
        function that cannot be cached, such as a coroutine function.
        """
        if (ttl is None) == (policy is None) or (policy is not None and stale_for):
            raise TypeError("cached needs ttl= and perhaps stale_for=, or policy=")
        how = policy or Policy(ttl=ttl or 0.0, stale_for=stale_for)
        return lambda function: cached_function(function, key, how, unless)


def _unknown_user() -> UserId | None:
    raise RuntimeError("a limit counts by user, but Portal(user=…) does not say who that is")


def _state_of(
    app: Flask, configuration: Configuration, user: Callable[[], UserId | None]
) -> AppState:
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
        user=user,
    )
