"""The pages of the front about webhooks and their deliveries."""

from flask import Response

from common.pyportal_common.web import current_user_id, rate_limit
from common.pyportal_common.web.pages import FrontPages, done, given, read_query, show, url
from common.pyportal_common.web.requests import validated

from ..events.schemas import SUBSCRIBABLE
from ..services import services
from .schemas import DeliverySearch, NewWebhook, NewWebhookView, WebhookChanges, WebhookSearch

pages = FrontPages("webhooks", __name__)


@pages.page("/webhooks")
def webhook_list() -> Response:
    """Show the user's webhooks, and a form to add one."""
    page = services().webhooks.page(read_query(WebhookSearch), current_user_id())
    return show("webhooks.html", page=page, types=SUBSCRIBABLE)


@pages.act("/webhooks", again=webhook_list)
def add_webhook() -> Response:
    """Register a webhook, and show its secret once."""
    new = {"url": given().get("url"), "eventTypes": _chosen_types()}
    added = services().webhooks.add(validated(NewWebhook, new), current_user_id())
    return _with_secret(added)


@pages.page("/webhooks/<id:webhook_id>")
def webhook_page(webhook_id: int) -> Response:
    """Show a webhook and what was sent to it."""
    user_id = current_user_id()
    webhook = services().webhooks.find(webhook_id, user_id)
    search = read_query(DeliverySearch)
    page = services().event_deliveries.page(webhook_id, search, user_id)
    return show("webhook.html", webhook=webhook, page=page, search=search, types=SUBSCRIBABLE)


@pages.act("/webhooks/<id:webhook_id>", again=webhook_page)
def change_types(webhook_id: int) -> Response:
    """Change the types of events that a webhook receives."""
    changes = validated(WebhookChanges, {"eventTypes": _chosen_types()})
    services().webhooks.change(webhook_id, changes, current_user_id())
    return _done(webhook_id, "The types of events are changed.")


@pages.act("/webhooks/<id:webhook_id>/enable", again=webhook_page)
def enable(webhook_id: int) -> Response:
    """Send events to a webhook again."""
    services().webhooks.change(webhook_id, WebhookChanges(enabled=True), current_user_id())
    return _done(webhook_id, "The webhook is enabled.")


@pages.act("/webhooks/<id:webhook_id>/disable", again=webhook_page)
def disable(webhook_id: int) -> Response:
    """Send no more events to a webhook."""
    services().webhooks.change(webhook_id, WebhookChanges(enabled=False), current_user_id())
    return _done(webhook_id, "The webhook is disabled.")


@pages.act("/webhooks/<id:webhook_id>/test", again=webhook_page)
@rate_limit("notifications", by="user")
def test_webhook(webhook_id: int) -> Response:
    """Send a test event to a webhook."""
    services().event_deliveries.send_test(webhook_id, current_user_id())
    return _done(webhook_id, "A test event is on its way.")


@pages.act("/webhooks/<id:webhook_id>/recover", again=webhook_page)
def recover(webhook_id: int) -> Response:
    """Send all events again that were not delivered."""
    retried = services().event_deliveries.recover(webhook_id, None, current_user_id())
    return _done(webhook_id, f"Events that are sent again: {retried}.")


@pages.act("/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/retry", again=webhook_page)
def retry(webhook_id: int, delivery_id: int) -> Response:
    """Send an event again."""
    services().event_deliveries.retry(webhook_id, delivery_id, current_user_id())
    return _done(webhook_id, "The event is sent again.")


@pages.page("/webhooks/<id:webhook_id>/secret")
def confirm_new_secret(webhook_id: int) -> Response:
    """Ask whether to replace the secret."""
    webhook = services().webhooks.find(webhook_id, current_user_id())
    return show("new_secret.html", webhook=webhook)


@pages.act("/webhooks/<id:webhook_id>/secret", again=confirm_new_secret)
def replace_secret(webhook_id: int) -> Response:
    """Replace the secret of a webhook, and show the new one once."""
    return _with_secret(services().webhooks.rotate_secret(webhook_id, current_user_id()))


@pages.page("/webhooks/<id:webhook_id>/delete")
def confirm_deletion(webhook_id: int) -> Response:
    """Ask whether to delete a webhook."""
    webhook = services().webhooks.find(webhook_id, current_user_id())
    return show("delete.html", webhook=webhook)


@pages.act("/webhooks/<id:webhook_id>/delete", again=confirm_deletion)
def delete(webhook_id: int) -> Response:
    """Delete a webhook."""
    services().webhooks.remove(webhook_id, current_user_id())
    return done(url("/app/webhooks"), "The webhook is deleted.")


def _chosen_types() -> list[str] | None:
    """The types that are checked; None for all, those that are added later among them."""
    return list(given().all("eventTypes")) or None


def _done(webhook_id: int, notice: str) -> Response:
    return done(url(f"/app/webhooks/{webhook_id}"), notice)


def _with_secret(webhook: NewWebhookView) -> Response:
    """The page itself, not a redirect to it: the secret would have to be kept somewhere."""
    return show("secret.html", webhook=webhook)
