"""Request and response bodies of webhooks."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Page, Schema, View


def check_url(text: str) -> str:
    """Check the URL of a webhook. The addresses of its host are checked when it is called."""
    fault = _fault_of(text)
    if fault is not None:
        raise PydanticCustomError("url", "{fault}", {"fault": fault})
    return text


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


class NewWebhook(Schema):
    """A webhook to register."""

    url: Annotated[
        str, StringConstraints(min_length=1, max_length=2000), AfterValidator(check_url)
    ] = Field(examples=["https://example.com/hook"])


class WebhookView(View):
    """A registered webhook."""

    webhook_id: int = Field(validation_alias="id")
    url: str
    created_at: datetime


class NewWebhookView(WebhookView):
    """A new webhook, with the secret that signs its messages. The secret is shown only once."""

    secret: str


class WebhookEnvelope(View):
    """The new webhook."""

    webhook: NewWebhookView


class WebhookList(Page[WebhookView]):
    """The webhooks of a user."""
