from typing import Literal

BookingViewStatus = Literal["cancelled", "confirmed"]

BOOKING_VIEW_STATUS_VALUES: set[BookingViewStatus] = {
    "cancelled",
    "confirmed",
}


def check_booking_view_status(value: str) -> BookingViewStatus:
    if value in BOOKING_VIEW_STATUS_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {BOOKING_VIEW_STATUS_VALUES!r}")
