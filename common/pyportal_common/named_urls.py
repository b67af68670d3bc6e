"""Settings that name the URLs of services: the consoles and the pages that link to each other."""

import re
from typing import Annotated

from pydantic import BeforeValidator

_NAMED_URL = re.compile(r"([^=]+)=(https?://[^\s/?#]+(?:/[a-z0-9-]+)?)/?")


def _named_urls(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = [_NAMED_URL.fullmatch(text.strip()) for text in value.split(",") if text.strip()]
    if not all(found):
        raise ValueError("must be title=URL pairs: User Management=https://portal.example.com")
    return tuple(each.groups() for each in found if each)


NamedUrls = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_named_urls)]
"""URLs by the titles of services: "User Management=http://localhost:5001,Notification=…"."""
