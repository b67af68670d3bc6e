"""The routes of notifications."""

from typing import Literal

from flask import Blueprint, Response, url_for

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.web import (
    PageQuery,
    Problem,
    body,
    conditional,
    current_service,
    current_user_id,
    idempotency_key,
    idempotent,
    login_required,
    query,
    rate_limit,
    reads,
    request_key,
    respond,
    respond_one,
    respond_page,
    respond_text,
    responses,
    services_only,
    with_next_link,
)
from common.pyportal_common.web.keyed_requests import digest_of
from common.pyportal_common.web.problems import problem_of
from common.pyportal_common.web.requests import validated

from ..services import services
from .batches import Created, KeyedNew
from .recipients import Principal
from .schemas import (
    AttemptList,
    BatchResult,
    BatchView,
    NewBatch,
    NewNotification,
    NotificationEnvelope,
    NotificationList,
    NotificationSearch,
    NotificationView,
    StatusView,
    UnreadView,
)

routes = Blueprint("notifications", __name__)

_MAX_DETAILS = 5  # of a notification in a batch


def principal() -> Principal:
    """The caller of the current request."""
    service = current_service()
    return Principal(None if service else current_user_id(), service)


@routes.post("/notifications")
@rate_limit("notifications", by="user")
@login_required(allow_services=True)
@body(NewNotification, max_bytes=64 * 1024)
@idempotent
@responses(
    NotificationEnvelope,
    status=202,
    problems=[403],
    headers={"Location": "The URL of the notification."},
)
def create_notification(body: NewNotification) -> Response:
    """Send a notification.

    It is stored before the response, and delivered in the background. Users notify themselves, at
    their verified e-mail address or a webhook that they registered. Services notify anyone.
    """
    event_key = idempotency_key() if current_service() else None
    created = services().notifications.create(
        body, principal(), event_key=event_key, key=request_key(_notification_created)
    )
    return _notification_created(created)


def _notification_created(created: NotificationView) -> Response:
    location = url_for("notifications.show_notification", notification_id=created.notification_id)
    return respond(NotificationEnvelope(notification=created), 202, {"Location": location})


@routes.post("/notifications/batch")
@services_only
@body(NewBatch, max_bytes=1024 * 1024)
@responses(BatchView)
def create_notifications(body: NewBatch) -> Response:
    """Send many notifications, each with an idempotency key of its own.

    For the workers of other services. Each notification is accepted or refused for itself, as
    `POST /notifications` does: `status` is the status that it would answer.
    """
    found: list[Problem | None] = []
    accepted: list[KeyedNew] = []
    for item in body.items:
        try:
            new = validated(NewNotification, item.notification)
        except Problem as problem:
            found.append(problem)
        else:
            key = digest_of(item.idempotency_key)
            accepted.append(KeyedNew(key, new, item.traceparent))
            found.append(None)
    created = iter(services().batches.create(accepted, principal()))
    results = [_result(next(created) if each is None else each) for each in found]
    return respond(BatchView(items=results))


def _result(found: Created | Exception) -> BatchResult:
    if isinstance(found, Created):
        outcome: Literal["created", "replayed"] = "replayed" if found.is_replayed else "created"
        return BatchResult(outcome=outcome, status=202, notification_id=found.notification_id)
    problem = problem_of(found)
    return BatchResult(
        outcome="refused",
        status=problem.status,
        error=problem.kind.text,
        code=problem.kind.code,
        details=problem.details[:_MAX_DETAILS],
    )


@routes.get("/notifications")
@login_required()
@reads(keys.user_notifications, by="user")
@query(NotificationSearch)
@responses(NotificationList)
def list_notifications(query: NotificationSearch) -> Response:
    """List the user's notifications and their delivery status.

    The newest notification comes first. With `channel`, `unread=false` or two filters, a page may
    have fewer items than `limit`, or none, and a `next`.
    """
    return respond_page(services().inbox.page(query, current_user_id()))


@routes.get("/notifications/unread")
@login_required()
@responses(UnreadView)
def count_unread() -> Response:
    """Count the user's unread notifications."""
    return respond(UnreadView(unread=services().inbox.count_unread(current_user_id())))


@routes.post("/notifications/read")
@login_required()
@responses(UnreadView)
def mark_all_read() -> Response:
    """Mark all of the user's notifications as read.

    At most the newest 10,000: if some are left, call it again.
    """
    services().inbox.mark_all_read(current_user_id())
    return respond(UnreadView(unread=services().inbox.count_unread(current_user_id())))


@routes.post("/notifications/<id:notification_id>/read")
@login_required()
@responses(NotificationEnvelope, problems=[404])
def mark_read(notification_id: int) -> Response:
    """Mark a notification as read.

    Marking it again changes nothing.
    """
    found = services().inbox.mark_read(notification_id, current_user_id())
    return respond(NotificationEnvelope(notification=found))


@routes.get("/notifications/<id:notification_id>")
@login_required(allow_services=True)
@reads(keys.notification)
@conditional
@responses(NotificationEnvelope, problems=[404])
def show_notification(notification_id: int) -> Response:
    """Show a notification."""
    found = services().notifications.find(notification_id, principal())
    return respond_one("notification", found)


@routes.get("/notifications/<id:notification_id>/status")
@login_required(allow_services=True)
@reads(keys.notification_status)
@responses(StatusView, problems=[404])
def show_status(notification_id: int) -> Response:
    """Show the delivery status of a notification.

    The status is cached: poll this route to follow a delivery.
    """
    return respond_text(services().notifications.status_of(notification_id, principal()).text)


@routes.get("/notifications/<id:notification_id>/attempts")
@login_required(allow_services=True)
@query(PageQuery)
@responses(AttemptList, problems=[404])
def list_attempts(query: PageQuery, notification_id: int) -> Response:
    """List the delivery attempts of a notification.

    The oldest attempt comes first. Each has the answer of the mail server or the webhook.
    """
    page = services().notifications.attempts_of(notification_id, query, principal())
    return with_next_link(respond(page), page.next)


@routes.post("/notifications/<id:notification_id>/retry")
@login_required(allow_services=True)
@responses(NotificationEnvelope, status=202, problems=[404, 409])
def retry_notification(notification_id: int) -> Response:
    """Retry a failed or suppressed notification.

    For others it is a 409 `notification-not-ended`.
    """
    notification = services().notifications.retry(notification_id, principal())
    return respond(NotificationEnvelope(notification=notification), 202)


@routes.post("/users/<id:user_id>/anonymise")
@services_only
@responses(status=204, problems=[404])
def anonymise_user(user_id: int) -> Response:
    """Remove the personal data of a deleted user.

    User Management calls this. It removes recipients and texts, suppresses notifications that have
    not been sent, and deletes the user's webhooks.
    """
    services().notifications.anonymise(user_id)
    return Response(status=204)
