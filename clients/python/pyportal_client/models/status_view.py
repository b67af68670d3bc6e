from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.status_view_status import StatusViewStatus, check_status_view_status

T = TypeVar("T", bound="StatusView")


@_attrs_define
class StatusView:
    """The delivery status of a notification.

    Attributes:
        notification_id (int):
        user_id (int | None):
        status (StatusViewStatus):
        attempts (int):
        error (None | str):
        updated_at (datetime.datetime):
    """

    notification_id: int
    user_id: int | None
    status: StatusViewStatus
    attempts: int
    error: None | str
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        notification_id = self.notification_id

        user_id: int | None
        user_id = self.user_id

        status: str = self.status

        attempts = self.attempts

        error: None | str
        error = self.error

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "notificationId": notification_id,
                "userId": user_id,
                "status": status,
                "attempts": attempts,
                "error": error,
                "updatedAt": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        notification_id = d.pop("notificationId")

        def _parse_user_id(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        user_id = _parse_user_id(d.pop("userId"))

        status = check_status_view_status(d.pop("status"))

        attempts = d.pop("attempts")

        def _parse_error(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        error = _parse_error(d.pop("error"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updatedAt"))

        status_view = cls(
            notification_id=notification_id,
            user_id=user_id,
            status=status,
            attempts=attempts,
            error=error,
            updated_at=updated_at,
        )

        status_view.additional_properties = d
        return status_view

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
