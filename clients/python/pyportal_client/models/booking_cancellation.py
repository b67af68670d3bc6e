from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="BookingCancellation")


@_attrs_define
class BookingCancellation:
    """Cancel one of the user's bookings and return its seats.

    Attributes:
        task_id (int): The task that booked them.
    """

    task_id: int

    def to_dict(self) -> dict[str, Any]:
        task_id = self.task_id

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "taskId": task_id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        task_id = d.pop("taskId")

        booking_cancellation = cls(
            task_id=task_id,
        )

        return booking_cancellation
