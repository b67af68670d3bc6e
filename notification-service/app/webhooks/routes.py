"""The routes of webhooks."""

from flask import Blueprint, Response, url_for

from common.pyportal_common.web import (
    body,
    current_user_id,
    login_required,
    query,
    rate_limit,
    respond,
    responses,
    with_next_link,
)

from ..services import services
from .schemas import (
    DeliveryEnvelope,
    DeliveryList,
    DeliverySearch,
    NewSecretEnvelope,
    NewWebhook,
    Recovery,
    RecoveryView,
    WebhookChanges,
    WebhookEnvelope,
    WebhookList,
    WebhookSearch,
)

routes = Blueprint("webhooks", __name__)


@routes.post("/webhooks")
@login_required()
@body(NewWebhook)
@responses(
    NewSecretEnvelope,
    status=201,
    problems=[409],
    headers={"Location": "The URL of the webhook."},
)
def add_webhook(body: NewWebhook) -> Response:
    """Register a webhook.

    It receives what happens to you from now on: the events of the given types, or of all. The
    response contains the secret that signs them, as [Standard Webhooks](https://www.standardwebhooks.com)
    specifies. It is shown only once.

    A user has at most 100 webhooks: one more is a 409 `too-many-webhooks`. A second one with the
    same URL is a 409 `webhook-already-exists`.
    """
    webhook = services().webhooks.add(body, current_user_id())
    location = url_for("webhooks.show_webhook", webhook_id=webhook.webhook_id)
    return respond(NewSecretEnvelope(webhook=webhook), 201, {"Location": location})


@routes.get("/webhooks")
@login_required()
@query(WebhookSearch)
@responses(WebhookList)
def list_webhooks(query: WebhookSearch) -> Response:
    """List the user's webhooks.

    The oldest webhook comes first.
    """
    page = services().webhooks.page(query, current_user_id())
    return with_next_link(respond(page), page.next)


@routes.get("/webhooks/<id:webhook_id>")
@login_required()
@responses(WebhookEnvelope, problems=[404])
def show_webhook(webhook_id: int) -> Response:
    """Show a webhook."""
    found = services().webhooks.find(webhook_id, current_user_id())
    return respond(WebhookEnvelope(webhook=found))


@routes.patch("/webhooks/<id:webhook_id>")
@login_required()
@body(WebhookChanges)
@responses(WebhookEnvelope, problems=[404])
def change_webhook(body: WebhookChanges, webhook_id: int) -> Response:
    """Change what a webhook receives, or enable or disable it.

    A webhook is disabled by a 410, and by five days in which no event was delivered; its owner gets
    an e-mail. Only you enable it again. Events of the meantime are sent by
    `POST /webhooks/{webhook_id}/recover?since=`.
    """
    changed = services().webhooks.change(webhook_id, body, current_user_id())
    return respond(WebhookEnvelope(webhook=changed))


@routes.post("/webhooks/<id:webhook_id>/rotate-secret")
@login_required()
@responses(NewSecretEnvelope, problems=[404])
def rotate_secret(webhook_id: int) -> Response:
    """Replace the secret of a webhook.

    For 24 hours each message has two signatures, by the new secret and by the one before it.
    """
    webhook = services().webhooks.rotate_secret(webhook_id, current_user_id())
    return respond(NewSecretEnvelope(webhook=webhook))


@routes.post("/webhooks/<id:webhook_id>/test")
@rate_limit("notifications", by="user")
@login_required()
@responses(DeliveryEnvelope, status=202, problems=[404])
def test_webhook(webhook_id: int) -> Response:
    """Send a test event to a webhook, also to a disabled one.

    It is sent in the background. Its delivery shows what the endpoint has answered.
    """
    delivery = services().event_deliveries.send_test(webhook_id, current_user_id())
    return respond(DeliveryEnvelope(delivery=delivery), 202)


@routes.post("/webhooks/<id:webhook_id>/recover")
@login_required()
@query(Recovery)
@responses(RecoveryView, status=202, problems=[404, 409])
def recover_events(query: Recovery, webhook_id: int) -> Response:
    """Retry all events that failed or were suppressed, or those since a time.

    At most 10,000: if there were so many, call it again. While the webhook is disabled it is a 409
    `webhook-disabled`.
    """
    retried = services().event_deliveries.recover(webhook_id, query.since, current_user_id())
    return respond(RecoveryView(retried=retried), 202)


@routes.get("/webhooks/<id:webhook_id>/deliveries")
@login_required()
@query(DeliverySearch)
@responses(DeliveryList, problems=[404])
def list_deliveries(query: DeliverySearch, webhook_id: int) -> Response:
    """List the events that were sent to a webhook, with the attempts to deliver each.

    The newest event comes first.
    """
    page = services().event_deliveries.page(webhook_id, query, current_user_id())
    return with_next_link(respond(page), page.next)


@routes.get("/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>")
@login_required()
@responses(DeliveryEnvelope, problems=[404])
def show_delivery(webhook_id: int, delivery_id: int) -> Response:
    """Show the delivery of an event."""
    found = services().event_deliveries.find(webhook_id, delivery_id, current_user_id())
    return respond(DeliveryEnvelope(delivery=found))


@routes.post("/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/retry")
@login_required()
@responses(DeliveryEnvelope, status=202, problems=[404, 409])
def retry_delivery(webhook_id: int, delivery_id: int) -> Response:
    """Retry a failed or suppressed delivery.

    For others it is a 409 `delivery-not-ended`, while the webhook is disabled a 409
    `webhook-disabled`.
    """
    found = services().event_deliveries.retry(webhook_id, delivery_id, current_user_id())
    return respond(DeliveryEnvelope(delivery=found), 202)


@routes.delete("/webhooks/<id:webhook_id>")
@login_required()
@responses(status=204, problems=[404])
def remove_webhook(webhook_id: int) -> Response:
    """Delete a webhook."""
    services().webhooks.remove(webhook_id, current_user_id())
    return Response(status=204)
