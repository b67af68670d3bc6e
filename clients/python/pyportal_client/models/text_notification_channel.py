from typing import Literal

TextNotificationChannel = Literal["email", "webhook"]

TEXT_NOTIFICATION_CHANNEL_VALUES: set[TextNotificationChannel] = {
    "email",
    "webhook",
}


def check_text_notification_channel(value: str) -> TextNotificationChannel:
    if value in TEXT_NOTIFICATION_CHANNEL_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {TEXT_NOTIFICATION_CHANNEL_VALUES!r}")
