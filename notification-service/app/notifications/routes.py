"""Notifications over HTTP: parse, call, answer."""

from flask import Blueprint, Response, jsonify

from common.pyportal_common.web import (
    body,
    conditional,
    current_user_id,
    idempotency_key,
    idempotent,
    login_required,
    query,
    rate_limit,
    responses,
    services_only,
)

from . import notifications
from .context import PREFIX, asker, services
from .schemas import (
    AttemptList,
    NewNotification,
    NotificationEnvelope,
    NotificationList,
    NotificationSearch,
    StatusView,
)

routes = Blueprint("notifications", __name__, url_prefix=PREFIX)


@routes.post("/notifications")
@rate_limit("notifications", by="user")
@login_required(allow_services=True)
@idempotent(secret=False)
@body(NewNotification, max_bytes=64 * 1024)
@responses(
    NotificationEnvelope,
    status=202,
    problems=[403],
    headers={"Location": "Where the notification is."},
)
def create_notification(body: NewNotification) -> tuple[Response, int, dict[str, str]]:
    """Have somebody told something: oneself, or for services anybody."""
    created = notifications.create(
        body, asker=asker(), idempotency_key=idempotency_key(), mine=services()
    )
    location = f"{PREFIX}/notifications/{created['notificationId']}"
    return jsonify(notification=created), 202, {"Location": location}


@routes.get("/notifications")
@login_required()
@query(NotificationSearch)
@responses(NotificationList)
def list_notifications(query: NotificationSearch) -> Response:
    """One's own notifications, the newest first."""
    mine = services()
    items, before = notifications.page(
        query,
        user_id=current_user_id(),
        database=mine.database,
        redis_helper=mine.redis_helper,
    )
    return jsonify(items=items, next=None if before is None else str(before))


@routes.get("/notifications/<id:notification_id>")
@login_required(allow_services=True)
@conditional
@responses(NotificationEnvelope, problems=[404])
def show_notification(notification_id: int) -> Response:
    """A notification of one's own."""
    mine = services()
    found = notifications.find(
        notification_id,
        asker=asker(),
        database=mine.database,
        redis_helper=mine.redis_helper,
    )
    return jsonify(notification=found)


@routes.get("/notifications/<id:notification_id>/status")
@login_required(allow_services=True)
@responses(StatusView, problems=[404])
def show_status(notification_id: int) -> Response:
    """How far its delivery has come. Made to be asked often."""
    mine = services()
    status = notifications.status_of(
        notification_id,
        asker=asker(),
        database=mine.database,
        redis_helper=mine.redis_helper,
    )
    return jsonify(status)


@routes.get("/notifications/<id:notification_id>/attempts")
@login_required(allow_services=True)
@responses(AttemptList, problems=[404])
def list_attempts(notification_id: int) -> Response:
    """Each attempt at its delivery, and what the other side said."""
    items = notifications.attempts_at(notification_id, asker=asker(), database=services().database)
    return jsonify(items=items, next=None)


@routes.post("/notifications/<id:notification_id>/retry")
@login_required(allow_services=True)
@responses(NotificationEnvelope, status=202, problems=[404, 409])
def retry_notification(notification_id: int) -> tuple[Response, int]:
    """Let a delivery begin anew that failed."""
    found = notifications.retry(notification_id, asker=asker(), mine=services())
    return jsonify(notification=found), 202


@routes.post("/users/<id:user_id>/anonymise")
@services_only
@responses(status=204, problems=[404])
def anonymise_user(user_id: int) -> Response:
    """For User Management: forget what a deleted user was told."""
    notifications.anonymise(user_id, mine=services())
    return Response(status=204)
