from typing import Literal

StatusViewStatus = Literal["failed", "queued", "sending", "sent", "suppressed"]

STATUS_VIEW_STATUS_VALUES: set[StatusViewStatus] = {
    "failed",
    "queued",
    "sending",
    "sent",
    "suppressed",
}


def check_status_view_status(value: str) -> StatusViewStatus:
    if value in STATUS_VIEW_STATUS_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {STATUS_VIEW_STATUS_VALUES!r}")
