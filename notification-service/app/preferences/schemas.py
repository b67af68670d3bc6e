"""Request and response bodies of preferences."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Schema, View

from .categories import REQUIRED, Category

Channel = Literal["email", "webhook"]


class PreferenceChange(Schema):
    """Whether to notify of a category on a channel."""

    category: Category
    channel: Channel
    enabled: bool

    @field_validator("enabled")
    @classmethod
    def _check_required(cls, enabled: bool, info: ValidationInfo) -> bool:
        if not enabled and info.data.get("category") == REQUIRED:
            raise PydanticCustomError("required", "Security notifications cannot be turned off")
        return enabled


class PreferenceChanges(Schema):
    """Preferences to change. The others stay."""

    preferences: Annotated[list[PreferenceChange], Field(min_length=1, max_length=50)]


class PreferenceView(View):
    """Whether the user is notified of a category on a channel."""

    category: Category
    channel: Channel
    enabled: bool
    required: bool = Field(description="It cannot be turned off.")


class PreferencesView(View):
    """The preferences for each category and channel."""

    preferences: list[PreferenceView]


class Unsubscription(Schema):
    """The query of a link that unsubscribes."""

    token: str = Field("", description="Of the link. Without it: a 400.")
