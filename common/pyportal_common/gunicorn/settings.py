"""The settings of gunicorn. This module does not import it."""

from pydantic import Field

from ..settings import LogSettings


class GunicornSettings(LogSettings):
    """Where gunicorn listens, in how many processes it serves, and how they log."""

    bind: str | None = None  # "127.0.0.1:8000" or "unix:/run/portal.sock"; PORT has no effect then
    port: int | None = Field(None, ge=1, le=65535)  # of all interfaces
    web_concurrency: int = Field(2, ge=1, le=64)  # processes
