from typing import Literal

NotificationViewStatus = Literal["failed", "queued", "sending", "sent", "suppressed"]

NOTIFICATION_VIEW_STATUS_VALUES: set[NotificationViewStatus] = {
    "failed",
    "queued",
    "sending",
    "sent",
    "suppressed",
}


def check_notification_view_status(value: str) -> NotificationViewStatus:
    if value in NOTIFICATION_VIEW_STATUS_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NOTIFICATION_VIEW_STATUS_VALUES!r}")
