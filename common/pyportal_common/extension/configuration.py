"""The settings of the extension: from `app.config` first, else from the environment."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from ..cache_handlers import RateLimit, RedisSettings
from ..settings import Load, S, Settings
from .notation import parse_rates

Dialect = Literal["x", "draft", "both", "off"]
"""Which headers say how much of a rate limit is left. See `limit_headers`."""


def _checked_rates(text: str) -> str:
    for rate in parse_rates(text):
        RateLimit("checked", rate.limit, rate.window)
    return text


Rates = Annotated[str, AfterValidator(_checked_rates)]
"""Rate limits as text, as Portal.limit accepts them."""

# Variables that win, or may not be set together with these.
_OTHER_SERVERS = {
    "url": {"host", "port", "db", "username", "password", "sentinels"},
    "sentinels": {"host", "port", "url"},
}


class PortalSettings(Settings):
    """PORTAL_*: how an app uses the extension. Times are seconds.

    service                   in the keys of rate limits; the app's name if it is not set. Apps with
                              the same name and Redis share their limits
    default_limits            rate limits of each view without its own, such as "60/minute"
    application_limits        rate limits of all views together, beside those of each
    limits_enabled            whether requests are counted and refused by these and `Portal.limit`
    limit_headers             the headers of rate limits
    session                   whether `flask.session` is kept in Redis
    session_idle_seconds      how long a session lasts without use
    session_absolute_seconds  how long it lasts after it was created or the user logged in
    """

    model_config = SettingsConfigDict(env_prefix="PORTAL_")

    service: str | None = None
    default_limits: Rates | None = None
    application_limits: Rates | None = None
    limits_enabled: bool = True
    limit_headers: Dialect = "both"
    session: bool = False
    session_idle_seconds: float = Field(default=3600.0, ge=1)
    session_absolute_seconds: float = Field(default=12 * 3600.0, ge=1)


class TrustSettings(Settings):
    """CACHE_TRUST_SECONDS, as the portal's services have it."""

    model_config = SettingsConfigDict(env_prefix="CACHE_")

    trust_seconds: float = Field(default=2.0, ge=0.1, le=30)


def load_from(config: Mapping[str, Any]) -> Load:
    """Load settings from the variables in `config`; those that it lacks from the environment.

    A variable that is None counts as not set.
    """

    def load(settings: type[S], /, **given: Any) -> S:
        prefix = settings.model_config.get("env_prefix", "")
        names = {field: f"{prefix}{field}".upper() for field in settings.model_fields}
        found = {field: config.get(name) for field, name in names.items()}
        given = {field: value for field, value in found.items() if value is not None} | given
        if settings is RedisSettings:
            # A variable of the environment must not win over the app's server.
            others = {name: None for name, names in _OTHER_SERVERS.items() if given.keys() & names}
            given = others | given
        return settings.load(**given)

    return load
