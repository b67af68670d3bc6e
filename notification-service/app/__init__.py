"""Notification."""

from pathlib import Path

from flask import Flask

from common.pyportal_common.admin import register_operations
from common.pyportal_common.web import create_service
from common.pyportal_common.web.openapi import OPENAPI_WEBHOOKS
from common.pyportal_common.web.pages import register_front

from .commands import notification_commands
from .events.document import described_events
from .events.routes import routes as event_routes
from .notifications import page_routes as inbox_pages
from .notifications.routes import routes as notification_routes
from .preferences import page_routes as preference_pages
from .preferences.routes import routes as preference_routes
from .problems import PROBLEMS, NotificationProblem
from .services import NAME, Services
from .settings import NotificationSettings
from .webhooks import page_routes as webhook_pages
from .webhooks.routes import routes as webhook_routes

MIGRATIONS = Path(__file__).parent.parent / "migrations"
TEMPLATES = Path(__file__).parent / "templates"

_PREFIX = "/api/v1/airliner"
_INTRODUCTION = """\
Sends notifications by e-mail and webhook, and reports their delivery. The usual order of calls:

1. Log in at User Management with `POST /api/v1/airliner/login`. Send its `session_id` as the bearer
   token: enter it under *Authorize* to try the calls on this page.
2. To receive events on a server of yours, such as `booking.confirmed`, register its URL with
   `POST /webhooks`, and send it a `POST /webhooks/{webhook_id}/test`. This page lists the events
   under *Webhooks*. E-mail requires only that your address is verified.
3. Send a notification with `POST /notifications`.
4. Poll `GET /notifications/{notification_id}/status` until `status` is `sent`, `failed` or
   `suppressed`.
5. See what the mail server or the webhook answered with
   `GET /notifications/{notification_id}/attempts`. Send a failed notification again with
   `POST /notifications/{notification_id}/retry`.

Users notify themselves. Other services notify anyone: they send a token as `X-Service-Token`.
"""


def create_app(
    settings: NotificationSettings | None = None, services: Services | None = None
) -> Flask:
    """Create the service's WSGI application. Raises ConfigurationError."""
    settings = settings or NotificationSettings.load()
    services = services or Services(settings)
    app = create_service(
        NAME,
        settings,
        title="Notification",
        introduction=_INTRODUCTION,
        stores=services.stores,
        database=services.database,
        migrations=MIGRATIONS,
        problems=PROBLEMS,
        problem_types=NotificationProblem,
        checks=[services.monitor],
    )
    app.extensions[NAME] = services
    services.monitor_caches()
    operations = register_operations(app, services, MIGRATIONS, settings)
    app.cli.add_command(notification_commands(operations.jobs, services.notifications))
    app.register_blueprint(notification_routes, url_prefix=_PREFIX)
    app.register_blueprint(webhook_routes, url_prefix=_PREFIX)
    app.register_blueprint(preference_routes, url_prefix=_PREFIX)
    app.register_blueprint(event_routes, url_prefix=_PREFIX)
    pages = (inbox_pages.pages, preference_pages.pages, webhook_pages.pages)
    register_front(app, settings, TEMPLATES, pages, home=inbox_pages.HOME)
    app.extensions[OPENAPI_WEBHOOKS] = described_events()
    return app
