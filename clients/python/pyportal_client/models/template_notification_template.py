from typing import Literal

TemplateNotificationTemplate = Literal[
    "email_changed",
    "email_verification",
    "factor_removal",
    "factors_changed",
    "new_login",
    "password_changed",
    "password_reset",
    "task_completed",
    "task_failed",
    "webhook_disabled",
    "welcome",
]

TEMPLATE_NOTIFICATION_TEMPLATE_VALUES: set[TemplateNotificationTemplate] = {
    "email_changed",
    "email_verification",
    "factor_removal",
    "factors_changed",
    "new_login",
    "password_changed",
    "password_reset",
    "task_completed",
    "task_failed",
    "webhook_disabled",
    "welcome",
}


def check_template_notification_template(value: str) -> TemplateNotificationTemplate:
    if value in TEMPLATE_NOTIFICATION_TEMPLATE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {TEMPLATE_NOTIFICATION_TEMPLATE_VALUES!r}")
