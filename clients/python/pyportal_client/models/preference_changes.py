from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.preference_change import PreferenceChange


T = TypeVar("T", bound="PreferenceChanges")


@_attrs_define
class PreferenceChanges:
    """Preferences to change. The others stay.

    Attributes:
        preferences (list[PreferenceChange]):
    """

    preferences: list[PreferenceChange]

    def to_dict(self) -> dict[str, Any]:
        preferences = []
        for preferences_item_data in self.preferences:
            preferences_item = preferences_item_data.to_dict()
            preferences.append(preferences_item)

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "preferences": preferences,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.preference_change import PreferenceChange  # noqa: PLC0415

        d = dict(src_dict)
        preferences = []
        _preferences = d.pop("preferences")
        for preferences_item_data in _preferences:
            preferences_item = PreferenceChange.from_dict(preferences_item_data)

            preferences.append(preferences_item)

        preference_changes = cls(
            preferences=preferences,
        )

        return preference_changes
