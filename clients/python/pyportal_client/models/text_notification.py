from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.text_notification_channel import (
    TextNotificationChannel,
    check_text_notification_channel,
)
from ..types import UNSET, Unset

T = TypeVar("T", bound="TextNotification")


@_attrs_define
class TextNotification:
    """A notification with a text of its own.

    Attributes:
        channel (TextNotificationChannel):
        subject (str):
        message (str):
        user_id (int | None | Unset): The user to notify. Users may omit it: they notify themselves.
        recipient (None | str | Unset): An e-mail address, or the URL of a webhook. Default: the user's address.
        template (None | Unset):
        data (None | Unset):
    """

    channel: TextNotificationChannel
    subject: str
    message: str
    user_id: int | None | Unset = UNSET
    recipient: None | str | Unset = UNSET
    template: None | Unset = UNSET
    data: None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        channel: str = self.channel

        subject = self.subject

        message = self.message

        user_id: int | None | Unset
        if isinstance(self.user_id, Unset):
            user_id = UNSET
        else:
            user_id = self.user_id

        recipient: None | str | Unset
        if isinstance(self.recipient, Unset):
            recipient = UNSET
        else:
            recipient = self.recipient

        template = self.template

        data = self.data

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "channel": channel,
                "subject": subject,
                "message": message,
            }
        )
        if user_id is not UNSET:
            field_dict["userId"] = user_id
        if recipient is not UNSET:
            field_dict["recipient"] = recipient
        if template is not UNSET:
            field_dict["template"] = template
        if data is not UNSET:
            field_dict["data"] = data

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        channel = check_text_notification_channel(d.pop("channel"))

        subject = d.pop("subject")

        message = d.pop("message")

        def _parse_user_id(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        user_id = _parse_user_id(d.pop("userId", UNSET))

        def _parse_recipient(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        recipient = _parse_recipient(d.pop("recipient", UNSET))

        template = d.pop("template", UNSET)

        data = d.pop("data", UNSET)

        text_notification = cls(
            channel=channel,
            subject=subject,
            message=message,
            user_id=user_id,
            recipient=recipient,
            template=template,
            data=data,
        )

        return text_notification
