"""The settings of a service that admins operate over HTTP."""

from typing import Literal

from pydantic import Field

from .cache_handlers import RateLimit
from .settings import ServiceSettings


class AdminSettings(ServiceSettings):
    """The variables of the admin API and of the console."""

    # Seconds after a login, or another proof of the password, that an admin may operate the
    # service.
    admin_login_seconds: float = Field(900, ge=60, le=43200)
    # The pages at /console: "read" shows, and changes nothing.
    console: Literal["off", "read", "on"] = "off"
    rate_limit_admin: RateLimit = RateLimit("admin", limit=120, window=60)
