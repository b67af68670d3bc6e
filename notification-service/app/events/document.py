"""The events in OpenAPI's `webhooks`."""

from typing import Any

from .catalogue import EVENT_TYPES, EventType

_EXAMPLE_MOMENT = "2026-01-31T09:30:15.123456Z"
_HEADERS = {
    "webhook-id": "Identifies the event, the same in every attempt: ignore one that you have.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "One signature or two, separated by a space: see Standard Webhooks.",
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
            "type": {"const": name},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When the event was recorded, the same in every attempt.",
            },
            "sequence": {
                "type": "integer",
                "minimum": 1,
                "description": "The number among the events of this webhook, without gaps. They "
                "may arrive in another order.",
            },
            "data": event_type.data.model_json_schema(mode="serialization"),
        },
    }
