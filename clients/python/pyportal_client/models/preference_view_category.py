from typing import Literal

PreferenceViewCategory = Literal["messages", "security", "tasks", "webhooks"]

PREFERENCE_VIEW_CATEGORY_VALUES: set[PreferenceViewCategory] = {
    "messages",
    "security",
    "tasks",
    "webhooks",
}


def check_preference_view_category(value: str) -> PreferenceViewCategory:
    if value in PREFERENCE_VIEW_CATEGORY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PREFERENCE_VIEW_CATEGORY_VALUES!r}")
