"""The routes of webhooks."""

from flask import Blueprint, Response

from common.pyportal_common.web import body, current_user_id, login_required, respond, responses

from ..services import services
from .schemas import NewWebhook, WebhookEnvelope, WebhookList

routes = Blueprint("webhooks", __name__)


@routes.post("/webhooks")
@login_required()
@body(NewWebhook)
@responses(WebhookEnvelope, status=201, problems=[409])
def add_webhook(body: NewWebhook) -> Response:
    """Register a webhook.

    The response contains the secret that signs its messages. It is shown only once.
    """
    webhook = services().webhooks.add(body, current_user_id())
    return respond(WebhookEnvelope(webhook=webhook), 201)


@routes.get("/webhooks")
@login_required()
@responses(WebhookList)
def list_webhooks() -> Response:
    """List the user's webhooks."""
    return respond(WebhookList(items=services().webhooks.of_user(current_user_id())))


@routes.delete("/webhooks/<id:webhook_id>")
@login_required()
@responses(status=204, problems=[404])
def remove_webhook(webhook_id: int) -> Response:
    """Delete a webhook."""
    services().webhooks.remove(webhook_id, current_user_id())
    return Response(status=204)
