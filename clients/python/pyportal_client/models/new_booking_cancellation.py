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

from ..models.new_booking_cancellation_priority import (
    NewBookingCancellationPriority,
    check_new_booking_cancellation_priority,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.booking_cancellation import BookingCancellation


T = TypeVar("T", bound="NewBookingCancellation")


@_attrs_define
class NewBookingCancellation:
    """Cancel one of the user's bookings and return its seats.

    Attributes:
        task_type (Literal['booking_cancellation']):
        parameters (BookingCancellation): Cancel one of the user's bookings and return its seats.
        priority (NewBookingCancellationPriority | Unset):  Default: 'normal'.
    """

    task_type: Literal["booking_cancellation"]
    parameters: BookingCancellation
    priority: NewBookingCancellationPriority | Unset = "normal"

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
        from ..models.booking_cancellation import BookingCancellation  # noqa: PLC0415

        d = dict(src_dict)
        task_type = cast(Literal["booking_cancellation"], d.pop("taskType"))
        if task_type != "booking_cancellation":
            raise ValueError(f"taskType must match const 'booking_cancellation', got '{task_type}'")

        parameters = BookingCancellation.from_dict(d.pop("parameters"))

        _priority = d.pop("priority", UNSET)
        priority: NewBookingCancellationPriority | Unset
        if isinstance(_priority, Unset):
            priority = UNSET
        else:
            priority = check_new_booking_cancellation_priority(_priority)

        new_booking_cancellation = cls(
            task_type=task_type,
            parameters=parameters,
            priority=priority,
        )

        return new_booking_cancellation
