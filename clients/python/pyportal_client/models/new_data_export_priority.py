from typing import Literal

NewDataExportPriority = Literal["high", "low", "normal"]

NEW_DATA_EXPORT_PRIORITY_VALUES: set[NewDataExportPriority] = {
    "high",
    "low",
    "normal",
}


def check_new_data_export_priority(value: str) -> NewDataExportPriority:
    if value in NEW_DATA_EXPORT_PRIORITY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NEW_DATA_EXPORT_PRIORITY_VALUES!r}")
