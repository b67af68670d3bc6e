from typing import Literal

PreferenceViewChannel = Literal["email", "webhook"]

PREFERENCE_VIEW_CHANNEL_VALUES: set[PreferenceViewChannel] = {
    "email",
    "webhook",
}


def check_preference_view_channel(value: str) -> PreferenceViewChannel:
    if value in PREFERENCE_VIEW_CHANNEL_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PREFERENCE_VIEW_CHANNEL_VALUES!r}")
