from __future__ import annotations

from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define

from ..models.new_flight_booking_priority import (
    NewFlightBookingPriority,
    check_new_flight_booking_priority,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.flight_booking import FlightBooking


T = TypeVar("T", bound="NewFlightBooking")


@_attrs_define
class NewFlightBooking:
    """Book seats on a flight: all of them, or none.

    Attributes:
        task_type (Literal['flight_booking']):
        parameters (FlightBooking): Book seats on a flight: all of them, or none.
        priority (NewFlightBookingPriority | Unset):  Default: 'normal'.
    """

    task_type: Literal["flight_booking"]
    parameters: FlightBooking
    priority: NewFlightBookingPriority | Unset = "normal"

    def to_dict(self) -> dict[str, Any]:
        task_type = self.task_type

        parameters = self.parameters.to_dict()

        priority: str | Unset = UNSET
        if not isinstance(self.priority, Unset):
            priority = self.priority

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "taskType": task_type,
                "parameters": parameters,
            }
        )
        if priority is not UNSET:
            field_dict["priority"] = priority

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.flight_booking import FlightBooking  # noqa: PLC0415

        d = dict(src_dict)
        task_type = cast(Literal["flight_booking"], d.pop("taskType"))
        if task_type != "flight_booking":
            raise ValueError(f"taskType must match const 'flight_booking', got '{task_type}'")

        parameters = FlightBooking.from_dict(d.pop("parameters"))

        _priority = d.pop("priority", UNSET)
        priority: NewFlightBookingPriority | Unset
        if isinstance(_priority, Unset):
            priority = UNSET
        else:
            priority = check_new_flight_booking_priority(_priority)

        new_flight_booking = cls(
            task_type=task_type,
            parameters=parameters,
            priority=priority,
        )

        return new_flight_booking
