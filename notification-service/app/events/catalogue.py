"""The types of events, the data of each, and which notifications report one."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import create_model

from common.pyportal_common import spans
from common.pyportal_common.fields import Id, Line
from common.pyportal_common.web import Schema

from ..deliveries.texts import TEMPLATES, Moment
from ..models import Event, Notification

TEST = "webhook.test"


@dataclass(frozen=True)
class EventType:
    """A type of event: when it happens, and its data with an example."""

    text: str
    data: type[Schema]
    example: dict[str, Any]


def _data(name: str, **fields: Any) -> type[Schema]:
    return create_model(name, __base__=Schema, **fields)


_TASK: dict[str, Any] = {"taskId": 42, "taskReference": "TASK-8F3K2M9QXA"}
_BOOKING: dict[str, Any] = {
    "bookingId": 42,
    "flightId": 7,
    "flightNumber": "PY101",
    "origin": "ZRH",
    "destination": "LIS",
    "departsAt": "2030-01-31T12:00:00Z",
    "seats": 2,
}
_BOOKING_DATA = _data(
    "BookingData",
    booking_id=(Id | None, None),
    flight_id=(Id | None, None),
    flight_number=Line,
    origin=(Line | None, None),
    destination=(Line | None, None),
    departs_at=(Moment | None, None),
    seats=Id,
)
_NOW = "2026-01-31T09:30:15Z"

EVENT_TYPES: dict[str, EventType] = {
    "user.verified": EventType(
        "The user has verified the e-mail address.",
        _data("UserVerified", username=Line, verified_at=Moment),
        {"username": "john_doe", "verifiedAt": _NOW},
    ),
    "user.password_changed": EventType(
        "The user's password has changed.",
        TEMPLATES["password_changed"],
        {"username": "john_doe", "changedAt": _NOW},
    ),
    "user.new_login": EventType(
        "The user has logged in from a new address.",
        TEMPLATES["new_login"],
        {"username": "john_doe", "address": "192.0.2.7", "at": _NOW},
    ),
    "booking.confirmed": EventType("A flight is booked.", _BOOKING_DATA, _BOOKING),
    "booking.cancelled": EventType(
        "A booking is cancelled, and its seats are returned.", _BOOKING_DATA, _BOOKING
    ),
    "task.completed": EventType(
        "A task is completed; also one that books a flight or cancels a booking.",
        TEMPLATES["task_completed"],
        {
            **_TASK,
            "taskType": "data_export",
            "details": {
                "tasks": 12,
                "bytes": 6400,
                "parts": 1,
                "expiresAt": "2026-02-07T09:30:15Z",
            },
        },
    ),
    "task.failed": EventType(
        "A task has failed, after all its attempts.",
        TEMPLATES["task_failed"],
        {**_TASK, "taskType": "flight_booking", "error": "Flight PY101 is sold out"},
    ),
    "notification.failed": EventType(
        "A notification could not be delivered. Deliveries of events are not notifications.",
        _data(
            "NotificationFailed",
            notification_id=Id,
            channel=Line,
            template=(Line | None, None),
            error=(str | None, None),
        ),
        {
            "notificationId": 9,
            "channel": "email",
            "template": "task_completed",
            "error": "The server refused the recipient",
        },
    ),
    TEST: EventType(
        "You asked for a test. It is sent to one webhook, whatever it subscribes to.",
        _data("WebhookTest", webhook_id=Id),
        {"webhookId": 1},
    ),
}
"""All types of events."""

_OF_TEMPLATES = {
    "password_changed": "user.password_changed",
    "new_login": "user.new_login",
    "task_completed": "task.completed",
    "task_failed": "task.failed",
}
_OF_TASKS = {"flight_booking": "booking.confirmed", "booking_cancellation": "booking.cancelled"}


def new_event(
    origin: str,
    event_type: str,
    user_id: int,
    data: dict[str, Any],
    *,
    traceparent: str | None = None,
) -> Event:
    """An event, which belongs to the current trace unless it has a `traceparent`.

    The same `origin` and type give the same id.
    """
    digest = hashlib.sha256(f"{origin}:{event_type}".encode()).hexdigest()
    return Event(
        id=f"evt_{digest[:32]}",
        type=event_type,
        user_id=user_id,
        data=data,
        traceparent=traceparent or spans.traceparent(),
        created_at=datetime.now(UTC),
    )


def reported_by(notification: Notification) -> Iterator[Event]:
    """The events that a new notification of a service reports to its user."""
    event_type = _OF_TEMPLATES.get(notification.template or "")
    if event_type is None or notification.user_id is None or notification.is_of_user:
        return
    data = notification.data
    new = partial(
        new_event,
        notification.message_id,
        user_id=notification.user_id,
        traceparent=notification.traceparent,
    )
    yield new(event_type, data=data)
    if event_type == "task.completed" and data["taskType"] in _OF_TASKS:
        of_task = _OF_TASKS[data["taskType"]]
        yield new(of_task, data=_booking_in(data))


def _booking_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """The booking that a completed task has made or cancelled."""
    details: Mapping[str, Any] = data["details"]
    booking = {name: details.get(name) for name in _BOOKING}
    return booking | {"bookingId": details.get("bookingTaskId", data["taskId"])}


def failure_of(notification: Notification) -> Event | None:
    """The event of a notification that has failed. It may fail again after a retry."""
    if notification.user_id is None:
        return None
    origin = f"{notification.message_id}:{notification.finished_at}"
    data = {
        "notificationId": notification.id,
        "channel": notification.channel,
        "template": notification.template,
        "error": notification.error,
    }
    return new_event(
        origin,
        "notification.failed",
        notification.user_id,
        data,
        traceparent=notification.traceparent,
    )
