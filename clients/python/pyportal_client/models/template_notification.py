from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.template_notification_channel import (
    TemplateNotificationChannel,
    check_template_notification_channel,
)
from ..models.template_notification_template import (
    TemplateNotificationTemplate,
    check_template_notification_template,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.template_notification_data import TemplateNotificationData


T = TypeVar("T", bound="TemplateNotification")


@_attrs_define
class TemplateNotification:
    """A notification with the texts of a template.

    Attributes:
        channel (TemplateNotificationChannel):
        template (TemplateNotificationTemplate):
        data (TemplateNotificationData):
        user_id (int | None | Unset): The user to notify. Users may omit it: they notify themselves.
        recipient (None | str | Unset): An e-mail address, or the URL of a webhook. Default: the user's address.
        subject (None | Unset):
        message (None | Unset):
    """

    channel: TemplateNotificationChannel
    template: TemplateNotificationTemplate
    data: TemplateNotificationData
    user_id: int | None | Unset = UNSET
    recipient: None | str | Unset = UNSET
    subject: None | Unset = UNSET
    message: None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        channel: str = self.channel

        template: str = self.template

        data = self.data.to_dict()

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

        subject = self.subject

        message = self.message

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "channel": channel,
                "template": template,
                "data": data,
            }
        )
        if user_id is not UNSET:
            field_dict["userId"] = user_id
        if recipient is not UNSET:
            field_dict["recipient"] = recipient
        if subject is not UNSET:
            field_dict["subject"] = subject
        if message is not UNSET:
            field_dict["message"] = message

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.template_notification_data import TemplateNotificationData  # noqa: PLC0415

        d = dict(src_dict)
        channel = check_template_notification_channel(d.pop("channel"))

        template = check_template_notification_template(d.pop("template"))

        data = TemplateNotificationData.from_dict(d.pop("data"))

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

        subject = d.pop("subject", UNSET)

        message = d.pop("message", UNSET)

        template_notification = cls(
            channel=channel,
            template=template,
            data=data,
            user_id=user_id,
            recipient=recipient,
            subject=subject,
            message=message,
        )

        return template_notification
