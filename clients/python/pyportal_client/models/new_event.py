from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from ..models.new_event_type import NewEventType, check_new_event_type

if TYPE_CHECKING:
    from ..models.new_event_data import NewEventData


T = TypeVar("T", bound="NewEvent")


@_attrs_define
class NewEvent:
    """An event to publish.

    Attributes:
        type_ (NewEventType):
        user_id (int): The user to whom it happened.
        data (NewEventData):
    """

    type_: NewEventType
    user_id: int
    data: NewEventData

    def to_dict(self) -> dict[str, Any]:
        type_: str = self.type_

        user_id = self.user_id

        data = self.data.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "type": type_,
                "userId": user_id,
                "data": data,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.new_event_data import NewEventData  # noqa: PLC0415

        d = dict(src_dict)
        type_ = check_new_event_type(d.pop("type"))

        user_id = d.pop("userId")

        data = NewEventData.from_dict(d.pop("data"))

        new_event = cls(
            type_=type_,
            user_id=user_id,
            data=data,
        )

        return new_event
