from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.booking_view_status import BookingViewStatus, check_booking_view_status

T = TypeVar("T", bound="BookingView")


@_attrs_define
class BookingView:
    """A booking as its user sees it.

    Attributes:
        booking_id (int): The id of the task that booked it.
        task_reference (str):
        user_id (int):
        status (BookingViewStatus):
        seats (int):
        flight_id (int):
        flight_number (str):
        origin (str):
        destination (str):
        departs_at (datetime.datetime):
        created_at (datetime.datetime): When its task was created.
        confirmed_at (datetime.datetime): When the seats were sold.
        cancelled_at (datetime.datetime | None): When the seats were returned.
    """

    booking_id: int
    task_reference: str
    user_id: int
    status: BookingViewStatus
    seats: int
    flight_id: int
    flight_number: str
    origin: str
    destination: str
    departs_at: datetime.datetime
    created_at: datetime.datetime
    confirmed_at: datetime.datetime
    cancelled_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        booking_id = self.booking_id

        task_reference = self.task_reference

        user_id = self.user_id

        status: str = self.status

        seats = self.seats

        flight_id = self.flight_id

        flight_number = self.flight_number

        origin = self.origin

        destination = self.destination

        departs_at = self.departs_at.isoformat()

        created_at = self.created_at.isoformat()

        confirmed_at = self.confirmed_at.isoformat()

        cancelled_at: None | str
        if isinstance(self.cancelled_at, datetime.datetime):
            cancelled_at = self.cancelled_at.isoformat()
        else:
            cancelled_at = self.cancelled_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "bookingId": booking_id,
                "taskReference": task_reference,
                "userId": user_id,
                "status": status,
                "seats": seats,
                "flightId": flight_id,
                "flightNumber": flight_number,
                "origin": origin,
                "destination": destination,
                "departsAt": departs_at,
                "createdAt": created_at,
                "confirmedAt": confirmed_at,
                "cancelledAt": cancelled_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        booking_id = d.pop("bookingId")

        task_reference = d.pop("taskReference")

        user_id = d.pop("userId")

        status = check_booking_view_status(d.pop("status"))

        seats = d.pop("seats")

        flight_id = d.pop("flightId")

        flight_number = d.pop("flightNumber")

        origin = d.pop("origin")

        destination = d.pop("destination")

        departs_at = datetime.datetime.fromisoformat(d.pop("departsAt"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        confirmed_at = datetime.datetime.fromisoformat(d.pop("confirmedAt"))

        def _parse_cancelled_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                cancelled_at_type_0 = datetime.datetime.fromisoformat(data)

                return cancelled_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        cancelled_at = _parse_cancelled_at(d.pop("cancelledAt"))

        booking_view = cls(
            booking_id=booking_id,
            task_reference=task_reference,
            user_id=user_id,
            status=status,
            seats=seats,
            flight_id=flight_id,
            flight_number=flight_number,
            origin=origin,
            destination=destination,
            departs_at=departs_at,
            created_at=created_at,
            confirmed_at=confirmed_at,
            cancelled_at=cancelled_at,
        )

        booking_view.additional_properties = d
        return booking_view

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
