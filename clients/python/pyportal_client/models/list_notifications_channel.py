from typing import Literal

ListNotificationsChannel = Literal["email", "webhook"]

LIST_NOTIFICATIONS_CHANNEL_VALUES: set[ListNotificationsChannel] = {
    "email",
    "webhook",
}


def check_list_notifications_channel(value: str) -> ListNotificationsChannel:
    if value in LIST_NOTIFICATIONS_CHANNEL_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {LIST_NOTIFICATIONS_CHANNEL_VALUES!r}")
