from typing import Literal

NewEventType = Literal[
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
]

NEW_EVENT_TYPE_VALUES: set[NewEventType] = {
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
}


def check_new_event_type(value: str) -> NewEventType:
    if value in NEW_EVENT_TYPE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NEW_EVENT_TYPE_VALUES!r}")
