"""Where things go, as clients may say it."""

from typing import Annotated
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError


def url(text: str) -> str:
    """The address of a webhook. What it leads to is judged when it is called."""
    fault = _fault_of(text)
    if fault is not None:
        raise PydanticCustomError("url", "{fault}", {"fault": fault})
    return text


def address(text: str) -> str:
    """An e-mail address, normalised."""
    if "=?" in text:  # see `emails.deliverable`
        raise PydanticCustomError("email", "must not have =? in it")
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": str(error)}) from None


def _fault_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"}:
        return "must begin with https:// or http://"
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        return "must be a URL of visible ASCII characters, with a host"
    if parts.username is not None or parts.password is not None:
        return "must have no user name or password in it"
    return None


Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000),
    AfterValidator(url),
    Field(examples=["https://example.com/hook"]),
]
