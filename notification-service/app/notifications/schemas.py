"""Request and response bodies of notifications."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.fields import Flag, Id, Line, normalized_email
from common.pyportal_common.web import CachedView, Detail, Page, PageQuery, Schema, View, otherwise

from ..deliveries.schemas import AttemptView, Status
from ..deliveries.texts import TEMPLATES, is_readable
from ..webhooks.schemas import check_url

Channel = Literal["email", "webhook"]


def _readable(text: str) -> str:
    if not is_readable(text):
        raise PydanticCustomError("readable", "Must not contain control characters")
    return text


def _known_template(template: str) -> str:
    if template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise PydanticCustomError("template", "Must be one of: {known}", {"known": known})
    return template


_Template = Annotated[
    str, AfterValidator(_known_template), Field(json_schema_extra={"enum": [*TEMPLATES]})
]
_Message = Annotated[
    str, StringConstraints(min_length=1, max_length=10_000), AfterValidator(_readable)
]


class _Addressed(Schema):
    channel: Channel
    user_id: Id | None = Field(
        None, description="The user to notify. Users may omit it: they notify themselves."
    )
    recipient: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = Field(
        None,
        description="An e-mail address, or the URL of a webhook. Default: the user's address.",
        examples=["john@example.com"],
    )


class TemplateNotification(_Addressed):
    """A notification with the texts of a template."""

    template: _Template = Field(examples=["welcome"])
    data: dict[str, Any]
    subject: None = None
    message: None = None


class TextNotification(_Addressed):
    """A notification with a text of its own."""

    subject: Line = Field(examples=["Your flight"])
    message: _Message = Field(examples=["It departs from gate 7."])
    template: None = None
    data: None = None


class NewNotification(_Addressed):
    """A notification to send: a template and its data, or a subject and a message."""

    described_as = (TemplateNotification, TextNotification)

    template: _Template | None = None
    data: dict[str, Any] | None = None
    subject: Line | None = None
    message: _Message | None = None

    @field_validator("recipient")
    @classmethod
    def _check_recipient(cls, recipient: str | None, info: ValidationInfo) -> str | None:
        channel = info.data.get("channel")
        if recipient is None or channel is None:
            return recipient
        return normalized_email(recipient) if channel == "email" else check_url(recipient)

    @field_validator("data")
    @classmethod
    def _check_data(
        cls, data: dict[str, Any] | None, info: ValidationInfo
    ) -> dict[str, Any] | None:
        template = info.data.get("template")
        if template is None or data is None:
            return data
        valid = TEMPLATES[template].model_validate_json(json.dumps(data))
        stored: dict[str, Any] = valid.model_dump(mode="json", by_alias=True)
        return stored

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        by_template = self.template is not None and self.data is not None
        by_message = self.subject is not None and self.message is not None
        parts = (self.template, self.data, self.subject, self.message)
        if by_template == by_message or sum(part is not None for part in parts) != 2:
            raise PydanticCustomError(
                "one_text", "Must have either template and data, or subject and message"
            )
        return self


MAX_BATCH = 100


class KeyedNotification(Schema):
    """A notification in a batch, and its idempotency key."""

    idempotency_key: Annotated[
        str,
        StringConstraints(pattern=r"^[!#-+\x2d-~]{1,255}$"),
        otherwise("Must be 1 to 255 visible ASCII characters without comma or quote"),
    ] = Field(description="As the header `Idempotency-Key` of `POST /notifications`.")
    notification: dict[str, Any] = Field(
        description="As the body of `POST /notifications`. It is refused if it is not one."
    )
    traceparent: Annotated[str, StringConstraints(max_length=55)] | None = Field(
        None, description="The trace of the notification, as W3C Trace Context writes it."
    )


class NewBatch(Schema):
    """Notifications to send."""

    items: Annotated[list[KeyedNotification], Field(min_length=1, max_length=MAX_BATCH)]


class NotificationSearch(PageQuery):
    """Filters of a list of notifications."""

    status: Status | None = Field(None, description="Those with this delivery status.")
    channel: Channel | None = Field(None, description="Those that are sent this way.")
    unread: Flag | None = Field(
        None, description="`true`: those that are not read. `false`: those that are read."
    )


class NotificationView(View):
    """A notification. Of its data and message only the short text is shown."""

    notification_id: int = Field(validation_alias="id")
    message_id: str = Field(
        description="The id of the e-mail or webhook message, the same in every attempt."
    )
    user_id: int | None
    source: str = Field(description="The service or the user that created the notification.")
    channel: Channel
    recipient: str | None
    template: str | None
    subject: str | None
    title: str | None = Field(description="The subject, also that of the template.")
    text: str | None = Field(description="The beginning, in one line of at most 200 characters.")
    link: str | None = Field(
        description="The path of the task that it is about, at Task Processing."
    )
    read_at: datetime | None = Field(description="When the user marked it as read.")
    status: Status
    attempts: int
    error: str | None = Field(description="Why the notification failed or is retried.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


CACHED_NOTIFICATION = CachedView(NotificationView, version=2, digest="d0c5d43d24cf1335")


class BatchResult(View):
    """What has become of one notification of a batch."""

    outcome: Literal["created", "replayed", "refused"] = Field(
        description="`replayed`: it was created by an earlier request with its key."
    )
    status: int = Field(description="The status that `POST /notifications` would answer.")
    notification_id: int | None = None
    error: str | None = None
    code: str | None = None
    details: list[Detail] = Field([], description="What is wrong with which field.")


class BatchView(View):
    """The results of a batch, in its order."""

    items: list[BatchResult]


class NotificationEnvelope(View):
    """One notification."""

    notification: NotificationView


class NotificationList(Page[NotificationView]):
    """A page of notifications, the newest first."""


class UnreadView(View):
    """The number of unread notifications."""

    unread: int = Field(description="At most 1,000 are counted.")


class StatusView(View):
    """The delivery status of a notification."""

    notification_id: int = Field(validation_alias="id")
    user_id: int | None
    status: Status
    attempts: int
    error: str | None
    updated_at: datetime


CACHED_STATUS = CachedView(StatusView, version=1, digest="80e6eebc43de4254")


class AttemptList(Page[AttemptView]):
    """A page of the delivery attempts of a notification, the oldest first."""
