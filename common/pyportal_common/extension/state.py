"""What the extension keeps for each app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, current_app

from ..cache_handlers import Admission, Cache, Limiter, RedisClient, SessionStore, Stores, UserId
from .configuration import PortalSettings

if TYPE_CHECKING:  # it needs another extra
    from ..db import Database

NAME = "pyportal"


@dataclass(frozen=True, slots=True)
class AppState:
    """The collaborators of one app, in `app.extensions["pyportal"]`."""

    app: Flask
    settings: PortalSettings
    cache: Cache
    limiter: Limiter
    sessions: SessionStore
    admission: Admission
    """Charges limits and loads a session in one round trip."""
    database: "Database | None" = None
    """The app's database, whose commits invalidate cached values."""
    user: Callable[[], UserId | None] | None = None
    """The user of the current request; None if that is the user of its session."""


def install(
    app: Flask,
    settings: PortalSettings,
    stores: Stores,
    *,
    database: "Database | None" = None,
    user: Callable[[], UserId | None] | None = None,
    values_of: RedisClient | None = None,
) -> AppState:
    """Give an app its state. Admission reads the values of `values_of`, if that is given."""
    state = app.extensions[NAME] = AppState(
        app=app,
        settings=settings,
        cache=stores.cache,
        limiter=stores.limiter,
        sessions=stores.sessions,
        admission=Admission(stores.limiter, stores.sessions, values_of),
        database=database,
        user=user,
    )
    return state


def current_state() -> AppState:
    """The state of the current app. Raises RuntimeError outside an app context, as Flask does."""
    state: AppState | None = current_app.extensions.get(NAME)
    if state is None:
        raise RuntimeError(f"{current_app.name!r} does not use the extension: portal.init_app(app)")
    return state
