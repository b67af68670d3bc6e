"""Recipient field types."""

from typing import Annotated
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError


def check_url(text: str) -> str:
    """Check the URL of a webhook. The addresses of its host are checked when it is called."""
    fault = _fault_of(text)
    if fault is not None:
        raise PydanticCustomError("url", "{fault}", {"fault": fault})
    return text


def normalize_address(text: str) -> str:
    """Check and normalize an e-mail address."""
    if "=?" in text:  # see `emails.deliverable`
        raise PydanticCustomError("email", "Must not contain =?")
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": str(error)}) from None


def _fault_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "Must be a URL"
    if parts.scheme not in {"http", "https"}:
        return "Must begin with https:// or http://"
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        return "Must be a URL of visible ASCII characters, with a host"
    if parts.username is not None or parts.password is not None:
        return "Must not contain a user name or password"
    return None


Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000),
    AfterValidator(check_url),
    Field(examples=["https://example.com/hook"]),
]
