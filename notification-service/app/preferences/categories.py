"""The categories of notifications."""

from typing import Literal, get_args

from ..models import Notification

Category = Literal["security", "tasks", "webhooks", "messages"]

CATEGORIES: tuple[Category, ...] = get_args(Category)
REQUIRED: Category = "security"
"""The category that users cannot turn off."""

_OF_TEMPLATES: dict[str, Category] = {
    "task_completed": "tasks",
    "task_failed": "tasks",
    "webhook_disabled": "webhooks",
}


def category_of(notification: Notification) -> Category | None:
    """The category of a notification, None if its user has sent it.

    Templates are about the security of the account unless they are listed here.
    """
    if notification.is_of_user:
        return None
    if notification.template is None:
        return "messages"
    return _OF_TEMPLATES.get(notification.template, REQUIRED)
