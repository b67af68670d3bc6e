"""The routes of preferences."""

from flask import Blueprint, Response

from common.pyportal_common.web import (
    body,
    current_user_id,
    login_required,
    query,
    respond,
    responses,
)

from ..services import services
from .schemas import PreferenceChanges, PreferencesView, Unsubscription

routes = Blueprint("preferences", __name__)

UNSUBSCRIBE = "/notifications/unsubscribe"


@routes.get("/notifications/preferences")
@login_required()
@responses(PreferencesView)
def show_preferences() -> Response:
    """Show of what the user is notified, and on which channel.

    A notification on a channel that is turned off is `suppressed`, and still in the list. Webhooks
    receive events by their own `eventTypes`.
    """
    return respond(PreferencesView(preferences=services().preferences.of_user(current_user_id())))


@routes.patch("/notifications/preferences")
@login_required()
@body(PreferenceChanges)
@responses(PreferencesView)
def change_preferences(body: PreferenceChanges) -> Response:
    """Change of what the user is notified.

    The category `security` cannot be turned off. What you send to yourself always arrives.
    """
    changed = services().preferences.change(body.preferences, current_user_id())
    return respond(PreferencesView(preferences=changed))


@routes.post(UNSUBSCRIBE)
@query(Unsubscription)
@responses(status=204, problems=[400])
def unsubscribe(query: Unsubscription) -> Response:
    """Turn a category of e-mails off, without a login.

    Mail programs call this for the link in the header `List-Unsubscribe` (RFC 8058). The body is
    not read.
    """
    services().preferences.unsubscribe(query.token)
    return Response(status=204)
