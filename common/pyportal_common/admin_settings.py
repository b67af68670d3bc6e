"""The settings of a service that admins operate over HTTP."""

from typing import Literal

from pydantic import Field

from .cache_handlers import RateLimit
from .named_urls import NamedUrls
from .settings import ServiceSettings


class AdminSettings(ServiceSettings):
    """The variables of the admin API and of the console."""

    # Seconds after a login, or another proof of the password, that an admin may operate the
    # service.
    admin_login_seconds: float = Field(900, ge=60, le=43200)
    # The pages at /console: "read" shows, and changes nothing.
    console: Literal["off", "read", "on"] = "off"
    # The consoles that each console links to, by the title of the service:
    # "User Management=http://localhost:5001,Task Processing=http://localhost:5002/taskprocessing".
    console_urls: NamedUrls = ()
    rate_limit_admin: RateLimit = RateLimit("admin", limit=120, window=60)
