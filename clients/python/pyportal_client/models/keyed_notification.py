from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.keyed_notification_notification import KeyedNotificationNotification


T = TypeVar("T", bound="KeyedNotification")


@_attrs_define
class KeyedNotification:
    """A notification in a batch, and its idempotency key.

    Attributes:
        idempotency_key (str): As the header `Idempotency-Key` of `POST /notifications`.
        notification (KeyedNotificationNotification): As the body of `POST /notifications`. It is refused if it is not
            one.
        traceparent (None | str | Unset): The trace of the notification, as W3C Trace Context writes it.
    """

    idempotency_key: str
    notification: KeyedNotificationNotification
    traceparent: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        idempotency_key = self.idempotency_key

        notification = self.notification.to_dict()

        traceparent: None | str | Unset
        if isinstance(self.traceparent, Unset):
            traceparent = UNSET
        else:
            traceparent = self.traceparent

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "idempotencyKey": idempotency_key,
                "notification": notification,
            }
        )
        if traceparent is not UNSET:
            field_dict["traceparent"] = traceparent

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.keyed_notification_notification import (
            KeyedNotificationNotification,  # noqa: PLC0415
        )

        d = dict(src_dict)
        idempotency_key = d.pop("idempotencyKey")

        notification = KeyedNotificationNotification.from_dict(d.pop("notification"))

        def _parse_traceparent(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        traceparent = _parse_traceparent(d.pop("traceparent", UNSET))

        keyed_notification = cls(
            idempotency_key=idempotency_key,
            notification=notification,
            traceparent=traceparent,
        )

        return keyed_notification
