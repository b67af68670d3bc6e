from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="NewFlight")


@_attrs_define
class NewFlight:
    """The body of POST /flights.

    Attributes:
        flight_number (str):
        origin (str): An IATA code.
        destination (str): An IATA code.
        departs_at (datetime.datetime): With a time zone, in the future.
        total_seats (int):
    """

    flight_number: str
    origin: str
    destination: str
    departs_at: datetime.datetime
    total_seats: int

    def to_dict(self) -> dict[str, Any]:
        flight_number = self.flight_number

        origin = self.origin

        destination = self.destination

        departs_at = self.departs_at.isoformat()

        total_seats = self.total_seats

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "flightNumber": flight_number,
                "origin": origin,
                "destination": destination,
                "departsAt": departs_at,
                "totalSeats": total_seats,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flight_number = d.pop("flightNumber")

        origin = d.pop("origin")

        destination = d.pop("destination")

        departs_at = datetime.datetime.fromisoformat(d.pop("departsAt"))

        total_seats = d.pop("totalSeats")

        new_flight = cls(
            flight_number=flight_number,
            origin=origin,
            destination=destination,
            departs_at=departs_at,
            total_seats=total_seats,
        )

        return new_flight
