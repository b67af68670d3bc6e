"""The settings of gunicorn. This module does not import it."""

import re

from pydantic import Field, field_validator

from ..settings import LogSettings


class GunicornSettings(LogSettings):
    """Where gunicorn listens, in how many processes it serves, and how they log."""

    bind: str | None = None  # "127.0.0.1:8000" or "unix:/run/portal.sock"; PORT has no effect then
    port: int | None = Field(None, ge=1, le=65535)  # of all interfaces
    web_concurrency: int = Field(2, ge=1, le=64)  # processes

    @field_validator("bind")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        if value and not all(_is_address(each.strip()) for each in value.split(",")):
            raise ValueError("must be host:port or unix:path, or several of these with commas")
        return value


def _is_address(text: str) -> bool:
    if text.startswith("unix:"):
        return text != "unix:"
    host, colon, port = text.rpartition(":")
    is_host = (":" not in host and "/" not in host) or re.fullmatch(r"\[[0-9a-fA-F:.]+\]", host)
    is_port = re.fullmatch("[0-9]{1,5}", port) is not None and int(port) < 65_536
    return bool(colon and is_host and is_port)
