from typing import Literal

TaskViewStatus = Literal["cancelled", "completed", "failed", "pending", "processing"]

TASK_VIEW_STATUS_VALUES: set[TaskViewStatus] = {
    "cancelled",
    "completed",
    "failed",
    "pending",
    "processing",
}


def check_task_view_status(value: str) -> TaskViewStatus:
    if value in TASK_VIEW_STATUS_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {TASK_VIEW_STATUS_VALUES!r}")
