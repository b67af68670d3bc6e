"""The settings of the extension: from `app.config` first, else from the environment."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from ..cache_handlers import RedisSettings, SessionLimits, SessionSettings
from ..settings import Settings

S = TypeVar("S", bound=Settings)

Dialect = Literal["x", "draft", "both", "off"]
"""Which headers say how much of a rate limit is left. See `limit_headers`."""

_SERVER = ("host", "port", "db", "username", "password")  # REDIS_URL wins over these


class PortalSettings(Settings):
    """PORTAL_*: how an app uses the extension. Times are seconds.

    service                   in the keys of rate limits; the app's name if it is not set. Apps with
                              the same name and Redis share their limits
    limit_headers             the headers of rate limits
    session                   whether `flask.session` is kept in Redis
    session_idle_seconds      how long a session lasts without use
    session_absolute_seconds  how long it lasts after it was created or the user logged in
    """

    model_config = SettingsConfigDict(env_prefix="PORTAL_")

    service: str | None = None
    limit_headers: Dialect = "both"
    session: bool = False
    session_idle_seconds: float = Field(3600.0, ge=1)
    session_absolute_seconds: float = Field(12 * 3600.0, ge=1)


class Configuration:
    """The settings of one app. Raises ConfigurationError for an invalid value, with its name."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.portal = load(PortalSettings, config)
        self.session_limits = load(SessionLimits, config)
        self.redis = _redis_settings(config)
        session_redis = load(SessionSettings, config)
        self.session_redis = self.redis
        self.session_db = session_redis.redis_db
        if session_redis.redis_url is not None:
            self.session_redis = _redis_settings({**config, "REDIS_URL": session_redis.redis_url})
            self.session_db = self.session_redis.database(session_redis.redis_db)


def load(settings: type[S], config: Mapping[str, Any]) -> S:
    """Settings from the variables in `config`; those that it lacks are read from the environment.

    A variable that is None counts as not set.
    """
    return settings.load(**_given(settings, config))


def _given(settings: type[Settings], config: Mapping[str, Any]) -> dict[str, Any]:
    prefix = settings.model_config.get("env_prefix", "")
    names = {field: f"{prefix}{field}".upper() for field in settings.model_fields}
    return {field: config[name] for field, name in names.items() if config.get(name) is not None}


def _redis_settings(config: Mapping[str, Any]) -> RedisSettings:
    given = _given(RedisSettings, config)
    if "url" not in given and any(field in given for field in _SERVER):
        given["url"] = None  # a REDIS_URL of the environment must not win over the app's own server
    return RedisSettings.load(**given)
