"""The settings of a service that admins operate over HTTP."""

import re
from typing import Literal

from pydantic import Field, field_validator

from .cache_handlers import RateLimit
from .settings import ServiceSettings

_NAMED_URL = re.compile(r"([^=]+)=(https?://[^\s/?#]+(?:/[a-z0-9-]+)?)/?")


class AdminSettings(ServiceSettings):
    """The variables of the admin API and of the console."""

    # Seconds after a login, or another proof of the password, that an admin may operate the
    # service.
    admin_login_seconds: float = Field(900, ge=60, le=43200)
    # The pages at /console: "read" shows, and changes nothing.
    console: Literal["off", "read", "on"] = "off"
    # The consoles that each console links to, by the title of the service:
    # "User Management=http://localhost:5001,Task Processing=http://localhost:5002/taskprocessing".
    console_urls: tuple[tuple[str, str], ...] = ()
    rate_limit_admin: RateLimit = RateLimit("admin", limit=120, window=60)

    @field_validator("console_urls", mode="before")
    @classmethod
    def _named_urls(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = [_NAMED_URL.fullmatch(text.strip()) for text in value.split(",") if text.strip()]
        if not all(found):
            raise ValueError("must be title=URL pairs: User Management=https://portal.example.com")
        return tuple(each.groups() for each in found if each)
