from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="FlightUpdate")


@_attrs_define
class FlightUpdate:
    """The body of PATCH /flights/{flight_id}. Omitted fields keep their values.

    Attributes:
        departs_at (datetime.datetime | None | Unset):
        total_seats (int | None | Unset): At least the number of booked seats.
    """

    departs_at: datetime.datetime | None | Unset = UNSET
    total_seats: int | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        departs_at: None | str | Unset
        if isinstance(self.departs_at, Unset):
            departs_at = UNSET
        elif isinstance(self.departs_at, datetime.datetime):
            departs_at = self.departs_at.isoformat()
        else:
            departs_at = self.departs_at

        total_seats: int | None | Unset
        if isinstance(self.total_seats, Unset):
            total_seats = UNSET
        else:
            total_seats = self.total_seats

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if departs_at is not UNSET:
            field_dict["departsAt"] = departs_at
        if total_seats is not UNSET:
            field_dict["totalSeats"] = total_seats

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_departs_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                departs_at_type_0 = datetime.datetime.fromisoformat(data)

                return departs_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        departs_at = _parse_departs_at(d.pop("departsAt", UNSET))

        def _parse_total_seats(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        total_seats = _parse_total_seats(d.pop("totalSeats", UNSET))

        flight_update = cls(
            departs_at=departs_at,
            total_seats=total_seats,
        )

        return flight_update
