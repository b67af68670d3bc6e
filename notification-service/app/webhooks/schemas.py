"""Request and response bodies of webhooks."""

from datetime import datetime

from pydantic import Field

from common.pyportal_common.web import Page, Schema, View

from ..fields import Url


class NewWebhook(Schema):
    """A webhook to register."""

    url: Url


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
