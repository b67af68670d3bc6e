"""The events in OpenAPI's `webhooks`."""

from typing import Any

from common.pyportal_common.web import Schema

from .catalogue import EVENT_TYPES, EventType

_EXAMPLE_MOMENT = "2026-01-31T09:30:15.123456Z"
_HEADERS = {
    "webhook-id": "Identifies the event, the same in every attempt: ignore one that you have.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "One signature or two, separated by a space: see Standard Webhooks.",
}

_FIELDS = {
    "username": "The user's name at the login.",
    "verifiedAt": "When the address was verified.",
    "changedAt": "When the password was changed.",
    "address": "The address from which the user logged in.",
    "at": "When the user logged in.",
    "bookingId": "The booking, as in `GET /bookings/{booking_id}` of Task Processing.",
    "flightId": "The flight, as in `GET /flights/{flight_id}` of Task Processing.",
    "flightNumber": "The flight's number.",
    "origin": "The airport of departure.",
    "destination": "The airport of arrival.",
    "departsAt": "When the flight departs.",
    "seats": "The number of booked seats.",
    "taskId": "The task, as in `GET /tasks/{task_id}` of Task Processing.",
    "taskReference": "The task's reference, for people.",
    "taskType": "The task's type.",
    "details": "The task's details, which depend on its type.",
    "error": "The reason, for people.",
    "notificationId": "The notification, as in `GET /notifications/{notification_id}`.",
    "channel": "How it was sent: `email` or `webhook`.",
    "template": "Its template. Null: it has a subject and a message.",
    "webhookId": "The webhook that is tested.",
}


def described_events() -> dict[str, Any]:
    """Each type of event as a webhook, with an example."""
    return {name: {"post": _described(name, found)} for name, found in EVENT_TYPES.items()}


def _described(name: str, event_type: EventType) -> dict[str, Any]:
    return {
        "summary": event_type.text.partition(".")[0],
        "description": event_type.text,
        "tags": ["webhooks"],
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for header, text in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _schema(name, event_type),
                    "example": {
                        "type": name,
                        "timestamp": _EXAMPLE_MOMENT,
                        "sequence": 12,
                        "data": event_type.example,
                    },
                }
            },
        },
        "responses": {
            "2XX": {"description": "The event is accepted."},
            "410": {"description": "The webhook is disabled at once."},
            "default": {"description": "The event is sent again later, for about three days."},
        },
    }


def _schema(name: str, event_type: EventType) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "timestamp", "sequence", "data"],
        "properties": {
            "type": {"const": name, "description": "The type of the event."},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When the event was recorded, the same in every attempt.",
            },
            "sequence": {
                "type": "integer",
                "minimum": 1,
                "description": "The number among the events of this webhook, without gaps. They "
                "may arrive in another order, and those that fail or are suppressed do not arrive.",
            },
            "data": _data_schema(event_type.data),
        },
    }


def _data_schema(data: type[Schema]) -> dict[str, Any]:
    """What receivers may rely on: all these fields are sent, and others may be added."""
    found = data.model_json_schema(mode="serialization")["properties"]
    properties = {name: {**found[name], "description": _FIELDS[name]} for name in found}
    for described in properties.values():
        described.pop("title")
        described.pop("default", None)  # which is sent, too
    return {
        "type": "object",
        "description": "What happened.",
        "required": [*properties],
        "properties": properties,
    }
