"""The service's dependencies, for requests and for workers."""

from flask import current_app

from common.pyportal_common.jobs import Backoff, Jobs
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.outbound import CircuitBreakers

from .deliveries.service import Deliveries
from .models import Notification
from .notifications.batches import Batches
from .notifications.recipients import Recipients
from .notifications.service import Notifications
from .redis_helper import REDIS_DB
from .settings import NotificationSettings
from .users import Users
from .webhooks.service import Webhooks

NAME = "notification"

_MAX_BACKOFF_SECONDS = 900.0


class Services(BaseServices):
    """The service's dependencies."""

    def __init__(
        self, settings: NotificationSettings, *, breakers: CircuitBreakers | None = None
    ) -> None:
        super().__init__(NAME, settings, redis_db=REDIS_DB)
        self.jobs = Jobs(
            self.database,
            Notification,
            kind="notifications",
            time_limit=lambda _: 3 * settings.delivery_timeout_seconds + 30,
            type_of=lambda notification: notification.channel,
            attempts=settings.delivery_attempts,
            backoff=Backoff(settings.delivery_backoff_seconds, _MAX_BACKOFF_SECONDS),
            lease_seconds=self.worker_settings.job_lease_seconds,
            owner=Notification.user_id,
            hints=self.hints,
        )
        users = Users(OutboxSettings.load())
        self.webhooks = Webhooks(self.database)
        recipients = Recipients(
            users,
            self.webhooks,
            allow_unregistered=bool(settings.webhook_secret.get_secret_value()),
        )
        self.notifications = Notifications(
            self.database, self.jobs, self.cache, recipients, self.webhooks
        )
        self.batches = Batches(self.database, self.jobs, self.notifications)
        self.deliveries = Deliveries(
            settings,
            users,
            self.webhooks,
            self.limiter,
            breakers or CircuitBreakers(),
            on_change=self.notifications.cache_status,
        )
        self.handlers = [(self.jobs, self.deliveries.deliver)]


def services() -> Services:
    """The current app's services."""
    found: Services = current_app.extensions[NAME]
    return found
