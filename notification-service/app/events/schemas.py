"""Request and response bodies of events."""

import json
from collections.abc import Collection
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from common.pyportal_common.fields import Id
from common.pyportal_common.web import Schema, View

from .catalogue import EVENT_TYPES, TEST

SUBSCRIBABLE = [name for name in EVENT_TYPES if name != TEST]


def _check_known(known: Collection[str], event_type: str) -> str:
    if event_type not in known:
        names = ", ".join(known)
        raise PydanticCustomError("event_type", "Must be one of: {known}", {"known": names})
    return event_type


EventTypeName = Annotated[
    str,
    AfterValidator(partial(_check_known, SUBSCRIBABLE)),
    Field(json_schema_extra={"enum": [*SUBSCRIBABLE]}),
]
"""A type that webhooks may subscribe to."""

SentEventType = Annotated[
    str,
    AfterValidator(partial(_check_known, EVENT_TYPES)),
    Field(json_schema_extra={"enum": [*EVENT_TYPES]}),
]
"""A type that webhooks receive: also that of tests."""


class NewEvent(Schema):
    """An event to publish."""

    type: EventTypeName
    user_id: Id = Field(description="The user to whom it happened.")
    data: dict[str, Any]

    @field_validator("data")
    @classmethod
    def _check_data(cls, data: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "type" not in info.data:
            return data
        valid = EVENT_TYPES[info.data["type"]].data.model_validate_json(json.dumps(data))
        stored: dict[str, Any] = valid.model_dump(mode="json", by_alias=True)
        return stored


class EventView(View):
    """A published event."""

    event_id: str = Field(description="The `webhook-id` of its deliveries.")
