from typing import Literal

ListNotificationsStatus = Literal["failed", "queued", "sending", "sent", "suppressed"]

LIST_NOTIFICATIONS_STATUS_VALUES: set[ListNotificationsStatus] = {
    "failed",
    "queued",
    "sending",
    "sent",
    "suppressed",
}


def check_list_notifications_status(value: str) -> ListNotificationsStatus:
    if value in LIST_NOTIFICATIONS_STATUS_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {LIST_NOTIFICATIONS_STATUS_VALUES!r}")
