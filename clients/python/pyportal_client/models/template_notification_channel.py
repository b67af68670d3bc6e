from typing import Literal

TemplateNotificationChannel = Literal["email", "webhook"]

TEMPLATE_NOTIFICATION_CHANNEL_VALUES: set[TemplateNotificationChannel] = {
    "email",
    "webhook",
}


def check_template_notification_channel(value: str) -> TemplateNotificationChannel:
    if value in TEMPLATE_NOTIFICATION_CHANNEL_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {TEMPLATE_NOTIFICATION_CHANNEL_VALUES!r}")
