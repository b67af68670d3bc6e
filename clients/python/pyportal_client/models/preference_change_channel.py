from typing import Literal

PreferenceChangeChannel = Literal["email", "webhook"]

PREFERENCE_CHANGE_CHANNEL_VALUES: set[PreferenceChangeChannel] = {
    "email",
    "webhook",
}


def check_preference_change_channel(value: str) -> PreferenceChangeChannel:
    if value in PREFERENCE_CHANGE_CHANNEL_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PREFERENCE_CHANGE_CHANNEL_VALUES!r}")
