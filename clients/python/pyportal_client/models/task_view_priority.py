from typing import Literal

TaskViewPriority = Literal["high", "low", "normal"]

TASK_VIEW_PRIORITY_VALUES: set[TaskViewPriority] = {
    "high",
    "low",
    "normal",
}


def check_task_view_priority(value: str) -> TaskViewPriority:
    if value in TASK_VIEW_PRIORITY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {TASK_VIEW_PRIORITY_VALUES!r}")
