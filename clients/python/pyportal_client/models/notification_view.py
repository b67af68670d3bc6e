from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.notification_view_channel import (
    NotificationViewChannel,
    check_notification_view_channel,
)
from ..models.notification_view_status import (
    NotificationViewStatus,
    check_notification_view_status,
)

T = TypeVar("T", bound="NotificationView")


@_attrs_define
class NotificationView:
    """A notification. Of its data and message only the short text is shown.

    Attributes:
        notification_id (int):
        message_id (str): The id of the e-mail or webhook message, the same in every attempt.
        user_id (int | None):
        source (str): The service or the user that created the notification.
        channel (NotificationViewChannel):
        recipient (None | str):
        template (None | str):
        subject (None | str):
        title (None | str): The subject, also that of the template.
        text (None | str): The beginning, in one line of at most 200 characters.
        link (None | str): The path of the task that it is about, at Task Processing.
        read_at (datetime.datetime | None): When the user marked it as read.
        status (NotificationViewStatus):
        attempts (int):
        error (None | str): Why the notification failed or is retried.
        created_at (datetime.datetime):
        started_at (datetime.datetime | None):
        finished_at (datetime.datetime | None):
        updated_at (datetime.datetime):
    """

    notification_id: int
    message_id: str
    user_id: int | None
    source: str
    channel: NotificationViewChannel
    recipient: None | str
    template: None | str
    subject: None | str
    title: None | str
    text: None | str
    link: None | str
    read_at: datetime.datetime | None
    status: NotificationViewStatus
    attempts: int
    error: None | str
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        notification_id = self.notification_id

        message_id = self.message_id

        user_id: int | None
        user_id = self.user_id

        source = self.source

        channel: str = self.channel

        recipient: None | str
        recipient = self.recipient

        template: None | str
        template = self.template

        subject: None | str
        subject = self.subject

        title: None | str
        title = self.title

        text: None | str
        text = self.text

        link: None | str
        link = self.link

        read_at: None | str
        if isinstance(self.read_at, datetime.datetime):
            read_at = self.read_at.isoformat()
        else:
            read_at = self.read_at

        status: str = self.status

        attempts = self.attempts

        error: None | str
        error = self.error

        created_at = self.created_at.isoformat()

        started_at: None | str
        if isinstance(self.started_at, datetime.datetime):
            started_at = self.started_at.isoformat()
        else:
            started_at = self.started_at

        finished_at: None | str
        if isinstance(self.finished_at, datetime.datetime):
            finished_at = self.finished_at.isoformat()
        else:
            finished_at = self.finished_at

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "notificationId": notification_id,
                "messageId": message_id,
                "userId": user_id,
                "source": source,
                "channel": channel,
                "recipient": recipient,
                "template": template,
                "subject": subject,
                "title": title,
                "text": text,
                "link": link,
                "readAt": read_at,
                "status": status,
                "attempts": attempts,
                "error": error,
                "createdAt": created_at,
                "startedAt": started_at,
                "finishedAt": finished_at,
                "updatedAt": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        notification_id = d.pop("notificationId")

        message_id = d.pop("messageId")

        def _parse_user_id(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        user_id = _parse_user_id(d.pop("userId"))

        source = d.pop("source")

        channel = check_notification_view_channel(d.pop("channel"))

        def _parse_recipient(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        recipient = _parse_recipient(d.pop("recipient"))

        def _parse_template(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        template = _parse_template(d.pop("template"))

        def _parse_subject(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        subject = _parse_subject(d.pop("subject"))

        def _parse_title(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        title = _parse_title(d.pop("title"))

        def _parse_text(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        text = _parse_text(d.pop("text"))

        def _parse_link(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        link = _parse_link(d.pop("link"))

        def _parse_read_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                read_at_type_0 = datetime.datetime.fromisoformat(data)

                return read_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        read_at = _parse_read_at(d.pop("readAt"))

        status = check_notification_view_status(d.pop("status"))

        attempts = d.pop("attempts")

        def _parse_error(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        error = _parse_error(d.pop("error"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        def _parse_started_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                started_at_type_0 = datetime.datetime.fromisoformat(data)

                return started_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        started_at = _parse_started_at(d.pop("startedAt"))

        def _parse_finished_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                finished_at_type_0 = datetime.datetime.fromisoformat(data)

                return finished_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        finished_at = _parse_finished_at(d.pop("finishedAt"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updatedAt"))

        notification_view = cls(
            notification_id=notification_id,
            message_id=message_id,
            user_id=user_id,
            source=source,
            channel=channel,
            recipient=recipient,
            template=template,
            subject=subject,
            title=title,
            text=text,
            link=link,
            read_at=read_at,
            status=status,
            attempts=attempts,
            error=error,
            created_at=created_at,
            started_at=started_at,
            finished_at=finished_at,
            updated_at=updated_at,
        )

        notification_view.additional_properties = d
        return notification_view

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
