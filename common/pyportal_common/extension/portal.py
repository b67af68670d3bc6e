"""The extension object."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

from flask import Flask, has_request_context
from flask.globals import request_ctx

from ..cache_handlers import (
    Bytes,
    Cache,
    Decision,
    Limiter,
    OnError,
    Policy,
    RedisClient,
    SessionStore,
    Stores,
    UserId,
)
from .cached import B, Cached, P, T, Tags, cached_function
from .callers import By, caller_of
from .charging import decision_of
from .configuration import PortalSettings, load_from
from .limits import View, ViewLimit, exempted, limited, register_limits
from .outages import register_outages
from .session import revoke_all
from .session_interface import PortalSessionInterface
from .session_of_request import portal_session, session_of
from .sql import FlaskSQLAlchemy, add_records, open_database
from .state import NAME, current_state, install


class Portal:
    """Caching, rate limits and sessions for Flask apps.

    One object may serve several apps: what it does depends on the current app. `init_app` reads the
    settings, and opens no connection.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        user: Callable[[], UserId | None] | None = None,
        db: FlaskSQLAlchemy | None = None,
    ) -> None:
        """Options of all apps.

        user  returns the user of the current request, for limits by user. The default is the user
              who logged in by `login`, which needs PORTAL_SESSION=True
        db    the app's Flask-SQLAlchemy, which needs the extra `sql`: commits of `db.session`
              invalidate the cached values of the rows that they change, see `CachedRow`
        """
        self._user = user
        self._db = db
        if db is not None:
            add_records(db)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Use the extension in `app`.

        The variables REDIS_*, SESSION_REDIS_* and PORTAL_* come from `app.config`, else from the
        environment. Raises ConfigurationError for an invalid one, and RuntimeError for an app that
        has the extension already. `db.init_app` must come before.
        """
        if NAME in app.extensions:
            raise RuntimeError(f"{app.name!r} uses the extension already")
        load = load_from(app.config)
        settings = load(PortalSettings)
        stores = Stores.connect(
            settings.service or app.name,
            load=load,
            # With SQL a client of its own: its values are read only as long as SQL can be asked.
            is_shared=self._db is None,
            idle_seconds=settings.session_idle_seconds,
            absolute_seconds=settings.session_absolute_seconds,
        )
        database = None
        if self._db is not None:
            database = open_database(app, self._db, stores.cache, stores.sessions)
        install(app, settings, stores, database=database, user=self._user)
        if settings.session:
            app.session_interface = PortalSessionInterface(stores.sessions)
        register_outages(app)
        register_limits(app, settings)

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
        shadow: bool = False,
    ) -> Callable[[View], View]:
        """Limit the requests to a view, plain or asynchronous, or to a method of a view class.

        rates     "5/minute; 100 per 2 hours", or a function that returns such a text
        by        whose requests are counted: those of an "address", a "user", a `header(…)`, a
                  `json_field(…)`, or of what a function returns. A request for which it returns
                  None is counted by its address
        cost      what a request counts; more than the limit counts as the limit, less than 1
                  nothing
        exempt    returns whether the request is not counted
        methods   the HTTP methods that are counted, GET with HEAD; all if empty
        name      of the limit: views whose limits have the same name share them. Otherwise each
                  endpoint has its own
        on_error  what applies while Redis is unavailable, see RateLimit
        shadow    tries the limit: it counts, logs at INFO whom it would refuse, and refuses
                  nothing. Beside an enforced one with the same name, caller and window it has no
                  effect

        A request over a limit raises LimitExceeded, a 429, before the view runs, and counts
        nowhere. Decorators that follow each other directly take one round trip, and charge
        together or not at all. Raises ValueError for rates or a cost that are not valid.
        """
        if isinstance(methods, str):
            raise TypeError(f"methods are several texts, as in [{methods!r}], not one")
        declared = ViewLimit(
            rates,
            caller_of(by),
            cost,
            exempt,
            tuple(sorted(method.upper() for method in methods)),
            name,
            on_error,
            shadow,
        )
        return lambda view: limited(view, declared)

    def exempt(self, view: View) -> View:
        """Exempt a view from the limits of the app: PORTAL_DEFAULT_LIMITS and _APPLICATION_LIMITS.

        Those of its own `limit` apply.
        """
        return exempted(view)

    @property
    def decision(self) -> Decision | None:
        """What the limits decided on the current request, as its headers say it: by the limit that
        is closest. None if none has counted it by now.
        """
        return decision_of(request_ctx.request)

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

    @overload
    def cached(
        self,
        key: str | Callable[..., str],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        policy: Policy | None = None,
        unless: Callable[..., bool] | None = None,
        tags: Tags | None = None,
        values: Literal["json"] = "json",
    ) -> Callable[[Callable[P, T]], Cached[P, T]]: ...

    @overload
    def cached(
        self,
        key: str | Callable[..., str],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        policy: Policy | None = None,
        unless: Callable[..., bool] | None = None,
        tags: Tags | None = None,
        values: Literal["bytes"],
    ) -> Callable[[Callable[P, B]], Cached[P, B]]: ...

    def cached(
        self,
        key: str | Callable[..., str],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        policy: Policy | None = None,
        unless: Callable[..., bool] | None = None,
        tags: Tags | None = None,
        values: Literal["json", "bytes"] = "json",
    ) -> Callable[[Callable[P, Any]], Cached[P, Any]]:
        """Cache the results of a function, a method or a plain view.

        key        a template with the function's parameters, "forecast:{city}/{day}", or a function
                   of the same arguments that returns a key of that form
        ttl        how many seconds a result is fresh
        stale_for  how many seconds it is still served after that, while one reader refreshes it
        policy     a Policy instead of these two
        unless     a function of the same arguments; the cache is not used if it returns True
        tags       templates such as "user:{user_id}", or a function of the same arguments that
                   returns tags: `invalidate_tag("user:7")` invalidates every result with this one.
                   With tags, or an empty list, the function has `clear()`
        values     "bytes" for a function that returns bytes or None, which are stored as they are

        The function must depend on its arguments only, and read what is committed now. Its result
        is JSON: None, bool, int, float, str, list and dict; another type raises TypeError. Redis in
        an outage is a miss. The decorated function has `invalidate(…)` and `refresh(…)`.

        Raises InvalidKey for a template that does not fit the function, ValueError for a time that
        is not positive, and TypeError for a function that cannot be cached, such as a coroutine
        function.
        """
        if (ttl is None) == (policy is None) or (policy is not None and stale_for):
            raise TypeError("cached needs ttl= and perhaps stale_for=, or policy=")
        if values not in {"json", "bytes"}:
            raise ValueError(f"values={values!r}: must be 'json' or 'bytes'")
        if not 0.001 <= (0.001 if ttl is None else ttl) < math.inf or not 0 <= stale_for < math.inf:
            raise ValueError(f"ttl={ttl}, stale_for={stale_for}: a number of seconds is needed")
        how = policy or Policy(ttl=ttl or 0.0, stale_for=stale_for)
        if values == "bytes":
            how = replace(how, shape=Bytes())
        return lambda function: cached_function(function, key, how, unless, tags)

    def invalidate_tag(self, *tags: str) -> None:
        """Invalidate all cached results with one of these tags. See Cache.invalidate_tag."""
        self.cache.invalidate_tag(*tags)

    # --- flask.session, with PORTAL_SESSION=True ---

    @property
    def user_id(self) -> UserId | None:
        """The user who logged in to the session of the current request, or None."""
        return portal_session().user_id

    def login(self, user_id: UserId, *, auth_epoch: int | None = None) -> None:
        """Log in to the session of the current request.

        It continues under a new id, and the old id ends at once. Its entries are kept, unless
        another user was logged in. `auth_epoch` is the user's, read from SQL with the password
        hash, if the app has them: SessionRevoked is raised if a later one is known. Four round
        trips; RedisUnavailable in an outage.
        """
        portal_session().log_in(user_id, auth_epoch)

    def logout(self) -> None:
        """End the session of the current request at once. No request in flight brings it back.

        Two round trips; RedisUnavailable in an outage: the session then remains valid.
        """
        portal_session().log_out()

    def revoke_all(
        self, user_id: UserId, *, auth_epoch: int | None = None, keep_current: bool = False
    ) -> int:
        """End the sessions of a user at once, except the current one if it is kept.

        Returns how many ended. `auth_epoch` is the new one of the user, raised in SQL before. An
        app gives it here and to `login`, or nowhere. Two round trips for each hundred sessions, and
        two more without an epoch; RedisUnavailable in an outage.
        """
        own = session_of(request_ctx.request) if has_request_context() else None
        # User 7 and user "7" are one: they share an index.
        is_own = own is not None and str(own.user_id) == str(user_id)
        spare = own.session_id if own is not None and is_own and keep_current else None
        count = revoke_all(self.sessions, user_id, auth_epoch, spare)
        if own is not None and is_own and not keep_current:
            own.forget()
        return count
