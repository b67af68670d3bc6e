from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="FlightView")


@_attrs_define
class FlightView:
    """A flight.

    Attributes:
        flight_id (int):
        flight_number (str):
        origin (str):
        destination (str):
        departs_at (datetime.datetime):
        total_seats (int):
        available_seats (int):
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
    """

    flight_id: int
    flight_number: str
    origin: str
    destination: str
    departs_at: datetime.datetime
    total_seats: int
    available_seats: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        flight_id = self.flight_id

        flight_number = self.flight_number

        origin = self.origin

        destination = self.destination

        departs_at = self.departs_at.isoformat()

        total_seats = self.total_seats

        available_seats = self.available_seats

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flightId": flight_id,
                "flightNumber": flight_number,
                "origin": origin,
                "destination": destination,
                "departsAt": departs_at,
                "totalSeats": total_seats,
                "availableSeats": available_seats,
                "createdAt": created_at,
                "updatedAt": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flight_id = d.pop("flightId")

        flight_number = d.pop("flightNumber")

        origin = d.pop("origin")

        destination = d.pop("destination")

        departs_at = datetime.datetime.fromisoformat(d.pop("departsAt"))

        total_seats = d.pop("totalSeats")

        available_seats = d.pop("availableSeats")

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updatedAt"))

        flight_view = cls(
            flight_id=flight_id,
            flight_number=flight_number,
            origin=origin,
            destination=destination,
            departs_at=departs_at,
            total_seats=total_seats,
            available_seats=available_seats,
            created_at=created_at,
            updated_at=updated_at,
        )

        flight_view.additional_properties = d
        return flight_view

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
