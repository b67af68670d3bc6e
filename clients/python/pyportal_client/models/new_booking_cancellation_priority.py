from typing import Literal

NewBookingCancellationPriority = Literal["high", "low", "normal"]

NEW_BOOKING_CANCELLATION_PRIORITY_VALUES: set[NewBookingCancellationPriority] = {
    "high",
    "low",
    "normal",
}


def check_new_booking_cancellation_priority(value: str) -> NewBookingCancellationPriority:
    if value in NEW_BOOKING_CANCELLATION_PRIORITY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NEW_BOOKING_CANCELLATION_PRIORITY_VALUES!r}")
