"""What clients send and get, in camelCase."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Schema, View

from .fields import Url, address, url
from .texts import TEMPLATES, Line, is_readable

Channel = Literal["email", "webhook"]
Status = Literal["queued", "sending", "sent", "failed", "suppressed"]

_ID = 10**18 - 1  # the greatest
_Cursor = Annotated[str, StringConstraints(pattern="^[1-9][0-9]{0,17}$")]


def _readable(text: str) -> str:
    if not is_readable(text):
        raise PydanticCustomError("readable", "must be readable text")
    return text


def _known(template: str) -> str:
    if template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise PydanticCustomError("template", "must be one of: {known}", {"known": known})
    return template


def _either(given: dict[str, str], left_out: list[str]) -> dict[str, Any]:
    """In JSON schema: these parts of these types, and none of those. Null is as if left out."""
    types = given | dict.fromkeys(left_out, "null")
    properties = {name: {"type": json_type} for name, json_type in types.items()}
    return {"required": list(given), "properties": properties}


class NewNotification(Schema):
    """The body of POST /notifications: a template and its data, or a subject and a message."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                _either({"template": "string", "data": "object"}, ["subject", "message"]),
                _either({"subject": "string", "message": "string"}, ["template", "data"]),
            ],
        }
    )

    channel: Channel
    user_id: int | None = Field(
        None, ge=1, le=_ID, description="Whose it is. For services; users have their own."
    )
    recipient: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = Field(
        None,
        description="An e-mail address, or the URL of a webhook. Left out: the user's address.",
        examples=["john@example.com"],
    )
    template: (
        Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": [*TEMPLATES]})]
        | None
    ) = Field(None, examples=["welcome"])
    data: dict[str, Any] | None = None
    subject: Line | None = Field(None, examples=["Your flight"])
    message: (
        Annotated[
            str, StringConstraints(min_length=1, max_length=10_000), AfterValidator(_readable)
        ]
        | None
    ) = Field(None, examples=["It leaves from gate 7."])

    @field_validator("recipient")
    @classmethod
    def _of_its_channel(cls, recipient: str | None, info: ValidationInfo) -> str | None:
        channel = info.data.get("channel")
        if recipient is None or channel is None:
            return recipient
        return address(recipient) if channel == "email" else url(recipient)

    @field_validator("data")
    @classmethod
    def _of_its_template(
        cls, data: dict[str, Any] | None, info: ValidationInfo
    ) -> dict[str, Any] | None:
        template = info.data.get("template")
        if template is None or data is None:
            return data
        given = TEMPLATES[template].model_validate_json(json.dumps(data))
        stored: dict[str, Any] = given.model_dump(mode="json", by_alias=True)
        return stored

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        by_template = self.template is not None and self.data is not None
        free = self.subject is not None and self.message is not None
        parts = (self.template, self.data, self.subject, self.message)
        if by_template == free or sum(part is not None for part in parts) != 2:
            raise PydanticCustomError(
                "one_text", "needs either template and data, or subject and message"
            )
        return self


class NotificationSearch(Schema):
    """The query of GET /notifications."""

    status: Status | None = None
    channel: Channel | None = None
    cursor: _Cursor | None = Field(None, description="The `next` of the page before.")


class NewWebhook(Schema):
    """The body of POST /webhooks."""

    url: Url


class NotificationView(View):
    """A notification as who may see it sees it."""

    notification_id: int = Field(validation_alias="id")
    message_id: str = Field(description="Of the mail or the webhook: every attempt has the same.")
    user_id: int | None
    source: str = Field(description="The service that wants it, or the user.")
    channel: Channel
    recipient: str | None
    template: str | None
    subject: str | None
    status: Status
    attempts: int
    error: str | None = Field(description="Why it failed, or has to be tried again.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


class NotificationEnvelope(View):
    """One notification."""

    notification: NotificationView


class NotificationList(View):
    """A page of notifications, the newest first."""

    items: list[NotificationView]
    next: str | None = Field(description="The cursor of the next page, null on the last.")


class StatusView(View):
    """How far the delivery of a notification has come."""

    notification_id: int = Field(validation_alias="id")
    user_id: int | None
    status: Status
    attempts: int
    error: str | None
    updated_at: datetime


class AttemptView(View):
    """One attempt at a delivery."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["sent", "failed", "put off"] | None = Field(
        description="None while it lasts, or if its worker died."
    )
    answer: str | None = Field(description="What the other side said.")
    reason: str | None = Field(description="Why it did not work.")


class AttemptList(View):
    """All attempts at a delivery."""

    items: list[AttemptView]
    next: None = None


class WebhookView(View):
    """A webhook that a user registered."""

    webhook_id: int = Field(validation_alias="id")
    url: str
    created_at: datetime


class NewWebhookView(WebhookView):
    """The same, with the secret that its messages are signed with. It is shown once."""

    secret: str


class WebhookEnvelope(View):
    """The webhook that was registered."""

    webhook: NewWebhookView


class WebhookList(View):
    """The webhooks of a user."""

    items: list[WebhookView]
    next: None = None
