from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.preference_view_category import (
    PreferenceViewCategory,
    check_preference_view_category,
)
from ..models.preference_view_channel import (
    PreferenceViewChannel,
    check_preference_view_channel,
)

T = TypeVar("T", bound="PreferenceView")


@_attrs_define
class PreferenceView:
    """Whether the user is notified of a category on a channel.

    Attributes:
        category (PreferenceViewCategory):
        channel (PreferenceViewChannel):
        enabled (bool):
        required (bool): It cannot be turned off.
    """

    category: PreferenceViewCategory
    channel: PreferenceViewChannel
    enabled: bool
    required: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        category: str = self.category

        channel: str = self.channel

        enabled = self.enabled

        required = self.required

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "category": category,
                "channel": channel,
                "enabled": enabled,
                "required": required,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        category = check_preference_view_category(d.pop("category"))

        channel = check_preference_view_channel(d.pop("channel"))

        enabled = d.pop("enabled")

        required = d.pop("required")

        preference_view = cls(
            category=category,
            channel=channel,
            enabled=enabled,
            required=required,
        )

        preference_view.additional_properties = d
        return preference_view

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
