"""The routes of events."""

from uuid import uuid4

from flask import Blueprint, Response

from common.pyportal_common.web import (
    accepts_key,
    body,
    current_service,
    idempotency_key,
    respond,
    responses,
    services_only,
)

from ..services import services
from .catalogue import new_event
from .schemas import EventView, NewEvent

routes = Blueprint("events", __name__)


@routes.post("/events")
@services_only
@body(NewEvent)
@accepts_key(
    "Identifies the event, so that it can be published again safely: the service's events of one "
    "type with the same key are one event. If they differ, the second one is a 422."
)
@responses(EventView, status=202)
def publish_event(body: NewEvent) -> Response:
    """Publish an event to the user's webhooks.

    For the workers of other services. What a notification reports, such as a completed task, is
    published with the notification.
    """
    origin = f"{current_service()}:{idempotency_key() or uuid4()}"
    event = new_event(origin, body.type, body.user_id, body.data)
    services().events.publish(event)
    return respond(EventView(event_id=event.id), 202)
