"""Request and response bodies of webhooks."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Page, PageQuery, PageSize, Schema, View

from ..deliveries.schemas import AttemptView, Status
from ..deliveries.texts import Moment
from ..events.catalogue import EVENT_TYPES
from ..events.schemas import EventTypeName, SentEventType

MAX_WEBHOOKS = 100  # of one user: an event is fanned out to all of them in one transaction


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


EventTypes = Annotated[list[EventTypeName], Field(max_length=len(EVENT_TYPES))]
_TYPES_TEXT = "The types of events to receive. Null: all, also those that are added later."


class NewWebhook(Schema):
    """A webhook to register."""

    url: Annotated[
        str, StringConstraints(min_length=1, max_length=2000), AfterValidator(check_url)
    ] = Field(examples=["https://example.com/hook"])
    event_types: EventTypes | None = Field(
        None, description=_TYPES_TEXT, examples=[["booking.confirmed", "booking.cancelled"]]
    )


class WebhookChanges(Schema):
    """Changes of a webhook. What is omitted stays."""

    event_types: EventTypes | None = Field(None, description=_TYPES_TEXT)
    enabled: bool | None = Field(
        None, description="`true` also ends the count of the days of failures."
    )


class WebhookView(View):
    """A registered webhook."""

    webhook_id: int = Field(validation_alias="id")
    url: str
    event_types: list[str] | None = Field(description=_TYPES_TEXT)
    enabled: bool = Field(description="Whether events are sent to it.")
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None = Field(
        description="All attempts since then have failed. After five days it is disabled."
    )
    previous_secret_until: datetime | None = Field(
        description="Until then the secret before the last rotation signs, too."
    )
    sequence: int = Field(description="The number of its last event.")
    created_at: datetime


class NewWebhookView(WebhookView):
    """A webhook with its new secret, which signs its messages. It is shown only once."""

    secret: str


class NewSecretEnvelope(View):
    """A webhook with its new secret."""

    webhook: NewWebhookView


class WebhookEnvelope(View):
    """One webhook."""

    webhook: WebhookView


class WebhookSearch(PageQuery):
    """The query of a list of webhooks: all of a user's, by default."""

    limit: PageSize = MAX_WEBHOOKS


class WebhookList(Page[WebhookView]):
    """A page of a user's webhooks, the oldest first."""


class DeliverySearch(PageQuery):
    """Filters of a list of deliveries."""

    status: Status | None = Field(None, description="Those with this status.")
    event_type: SentEventType | None = Field(None, description="Those of events of this type.")


class DeliveryView(View):
    """The delivery of an event to a webhook."""

    delivery_id: int = Field(validation_alias="id")
    event_id: str = Field(description="The `webhook-id`, the same in every attempt.")
    event_type: str
    sequence: int = Field(description="The number of the event among those of the webhook.")
    status: Status = Field(description="`suppressed`: the webhook was disabled or deleted.")
    error: str | None = Field(description="Why it failed, was suppressed or is retried.")
    next_attempt_at: datetime | None = Field(validation_alias="due_at")
    created_at: datetime
    finished_at: datetime | None
    attempts: list[AttemptView] = Field(description="The oldest attempt comes first.")


class DeliveryEnvelope(View):
    """One delivery."""

    delivery: DeliveryView


class DeliveryList(Page[DeliveryView]):
    """A page of deliveries, the newest first."""


def _written_as_date(value: object) -> object:
    if isinstance(value, str) and "-" not in value[1:]:  # pydantic would accept seconds since 1970
        raise PydanticCustomError("moment", _MOMENT)
    return value


_MOMENT = "Must be a date and time, such as 2030-01-31T12:00:00Z"
_Moment = Annotated[
    Moment,
    Field(strict=False),  # behind a validator, a text in a query would be refused otherwise
    BeforeValidator(_written_as_date),
]


class Recovery(Schema):
    """Which deliveries to retry."""

    since: _Moment | None = Field(
        None,
        description="Events since then that were not delivered are sent again. Default: all, of "
        "the last 30 days.",
        examples=["2026-01-31T09:30:15Z"],
    )


class RecoveryView(View):
    """What is retried."""

    retried: int = Field(description="The number of deliveries.")
