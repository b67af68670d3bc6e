from typing import Literal

ListTasksType = Literal["booking_cancellation", "data_export", "flight_booking"]

LIST_TASKS_TYPE_VALUES: set[ListTasksType] = {
    "booking_cancellation",
    "data_export",
    "flight_booking",
}


def check_list_tasks_type(value: str) -> ListTasksType:
    if value in LIST_TASKS_TYPE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {LIST_TASKS_TYPE_VALUES!r}")
