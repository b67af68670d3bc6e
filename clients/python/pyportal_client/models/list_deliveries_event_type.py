from typing import Literal

ListDeliveriesEventType = Literal[
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
    "webhook.test",
]

LIST_DELIVERIES_EVENT_TYPE_VALUES: set[ListDeliveriesEventType] = {
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
    "webhook.test",
}


def check_list_deliveries_event_type(value: str) -> ListDeliveriesEventType:
    if value in LIST_DELIVERIES_EVENT_TYPE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {LIST_DELIVERIES_EVENT_TYPE_VALUES!r}")
