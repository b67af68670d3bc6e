from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="FlightBooking")


@_attrs_define
class FlightBooking:
    """Book seats on a flight: all of them, or none.

    Attributes:
        flight_id (int):
        seats (int):
    """

    flight_id: int
    seats: int

    def to_dict(self) -> dict[str, Any]:
        flight_id = self.flight_id

        seats = self.seats

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "flightId": flight_id,
                "seats": seats,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flight_id = d.pop("flightId")

        seats = d.pop("seats")

        flight_booking = cls(
            flight_id=flight_id,
            seats=seats,
        )

        return flight_booking
