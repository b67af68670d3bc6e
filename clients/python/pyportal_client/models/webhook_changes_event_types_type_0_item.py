from typing import Literal

WebhookChangesEventTypesType0Item = Literal[
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
]

WEBHOOK_CHANGES_EVENT_TYPES_TYPE_0_ITEM_VALUES: set[WebhookChangesEventTypesType0Item] = {
    "booking.cancelled",
    "booking.confirmed",
    "notification.failed",
    "task.completed",
    "task.failed",
    "user.new_login",
    "user.password_changed",
    "user.verified",
}


def check_webhook_changes_event_types_type_0_item(value: str) -> WebhookChangesEventTypesType0Item:
    if value in WEBHOOK_CHANGES_EVENT_TYPES_TYPE_0_ITEM_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {WEBHOOK_CHANGES_EVENT_TYPES_TYPE_0_ITEM_VALUES!r}")
