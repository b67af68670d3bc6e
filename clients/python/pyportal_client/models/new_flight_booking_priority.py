from typing import Literal

NewFlightBookingPriority = Literal["high", "low", "normal"]

NEW_FLIGHT_BOOKING_PRIORITY_VALUES: set[NewFlightBookingPriority] = {
    "high",
    "low",
    "normal",
}


def check_new_flight_booking_priority(value: str) -> NewFlightBookingPriority:
    if value in NEW_FLIGHT_BOOKING_PRIORITY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {NEW_FLIGHT_BOOKING_PRIORITY_VALUES!r}")
