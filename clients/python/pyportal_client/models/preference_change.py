from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.preference_change_category import (
    PreferenceChangeCategory,
    check_preference_change_category,
)
from ..models.preference_change_channel import (
    PreferenceChangeChannel,
    check_preference_change_channel,
)

T = TypeVar("T", bound="PreferenceChange")


@_attrs_define
class PreferenceChange:
    """Whether to notify of a category on a channel.

    Attributes:
        category (PreferenceChangeCategory):
        channel (PreferenceChangeChannel):
        enabled (bool):
    """

    category: PreferenceChangeCategory
    channel: PreferenceChangeChannel
    enabled: bool

    def to_dict(self) -> dict[str, Any]:
        category: str = self.category

        channel: str = self.channel

        enabled = self.enabled

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "category": category,
                "channel": channel,
                "enabled": enabled,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        category = check_preference_change_category(d.pop("category"))

        channel = check_preference_change_channel(d.pop("channel"))

        enabled = d.pop("enabled")

        preference_change = cls(
            category=category,
            channel=channel,
            enabled=enabled,
        )

        return preference_change
