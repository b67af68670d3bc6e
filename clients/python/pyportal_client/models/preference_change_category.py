from typing import Literal

PreferenceChangeCategory = Literal["messages", "security", "tasks", "webhooks"]

PREFERENCE_CHANGE_CATEGORY_VALUES: set[PreferenceChangeCategory] = {
    "messages",
    "security",
    "tasks",
    "webhooks",
}


def check_preference_change_category(value: str) -> PreferenceChangeCategory:
    if value in PREFERENCE_CHANGE_CATEGORY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PREFERENCE_CHANGE_CATEGORY_VALUES!r}")
