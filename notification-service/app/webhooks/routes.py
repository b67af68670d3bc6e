"""Webhooks over HTTP: parse, call, answer."""

from flask import Blueprint, Response, jsonify

from common.pyportal_common.web import body, current_user_id, login_required, responses

from . import webhooks
from .context import PREFIX, services
from .schemas import NewWebhook, WebhookEnvelope, WebhookList

routes = Blueprint("webhooks", __name__, url_prefix=PREFIX)


@routes.post("/webhooks")
@login_required()
@body(NewWebhook)
@responses(WebhookEnvelope, status=201, problems=[409])
def add_webhook(body: NewWebhook) -> tuple[Response, int]:
    """Register an address for one's notifications. Its secret is shown this once."""
    webhook = webhooks.add(body, user_id=current_user_id(), database=services().database)
    return jsonify(webhook=webhook), 201


@routes.get("/webhooks")
@login_required()
@responses(WebhookList)
def list_webhooks() -> Response:
    """One's webhooks."""
    found = webhooks.of_user(current_user_id(), database=services().database)
    return jsonify(items=found, next=None)


@routes.delete("/webhooks/<id:webhook_id>")
@login_required()
@responses(status=204, problems=[404])
def remove_webhook(webhook_id: int) -> Response:
    """Forget a webhook."""
    webhooks.remove(webhook_id, user_id=current_user_id(), database=services().database)
    return Response(status=204)
