from typing import Literal

NewWebhookEventTypesType0Item = Literal[
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
]

NEW_WEBHOOK_EVENT_TYPES_TYPE_0_ITEM_VALUES: set[NewWebhookEventTypesType0Item] = {
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
}


def check_new_webhook_event_types_type_0_item(value: str) -> NewWebhookEventTypesType0Item:
    if value in NEW_WEBHOOK_EVENT_TYPES_TYPE_0_ITEM_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NEW_WEBHOOK_EVENT_TYPES_TYPE_0_ITEM_VALUES!r}")
