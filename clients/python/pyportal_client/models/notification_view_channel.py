from typing import Literal

NotificationViewChannel = Literal["email", "webhook"]

NOTIFICATION_VIEW_CHANNEL_VALUES: set[NotificationViewChannel] = {
    "email",
    "webhook",
}


def check_notification_view_channel(value: str) -> NotificationViewChannel:
    if value in NOTIFICATION_VIEW_CHANNEL_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NOTIFICATION_VIEW_CHANNEL_VALUES!r}")
