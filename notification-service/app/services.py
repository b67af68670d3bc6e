"""The service's dependencies, for requests and for workers."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from flask import current_app

from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.findings import Check
from common.pyportal_common.jobs import Backoff, Jobs
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.jobs.schedules import Schedule
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.outbound import CircuitBreakers

from .deliveries.attempts import Attempts
from .deliveries.hosts import Hosts
from .deliveries.mail_check import check_mail
from .deliveries.service import Deliveries
from .events.service import Events
from .models import EventDelivery, Notification
from .notifications.batches import Batches
from .notifications.inbox import Inbox
from .notifications.recipients import Recipients
from .notifications.service import Notifications
from .preferences.service import Preferences
from .redis_helper import REDIS_DB
from .settings import NotificationSettings
from .users import Users
from .webhooks.calls import WebhookCaller
from .webhooks.deliveries import EventDeliveries
from .webhooks.sending import EventSender
from .webhooks.service import Webhooks

NAME = "notification"

_MAX_BACKOFF_SECONDS = 900.0
_MAX_EVENT_BACKOFF_SECONDS = 6 * 3600.0
_EVENT_ATTEMPTS = 40  # in about three days


class Services(BaseServices):
    """The service's dependencies."""

    def __init__(
        self, settings: NotificationSettings, *, breakers: CircuitBreakers | None = None
    ) -> None:
        super().__init__(NAME, settings, redis_db=REDIS_DB)
        self._mail_check = partial(check_mail, settings)
        self.event_jobs = Jobs(
            self.database,
            EventDelivery,
            kind="webhook-events",
            time_limit=lambda _: settings.delivery_timeout_seconds + 30,
            type_of=lambda _: "event",
            attempts=_EVENT_ATTEMPTS,
            backoff=Backoff(settings.delivery_backoff_seconds, _MAX_EVENT_BACKOFF_SECONDS),
            lease_seconds=self.worker_settings.job_lease_seconds,
            hints=self.hints,
        )
        self.events = Events(
            self.database, self.event_jobs, kept_for=timedelta(days=settings.event_days)
        )
        self.jobs = self._notification_jobs(settings, self.events)
        users = Users(OutboxSettings.load())
        self.webhooks = Webhooks(self.database)
        self.preferences = Preferences(
            self.database, unsubscribe_url=settings.effective_unsubscribe_url
        )
        self.event_deliveries = EventDeliveries(
            self.database, self.event_jobs, self.events, self.webhooks
        )
        recipients = Recipients(
            users,
            self.webhooks,
            allow_unregistered=bool(settings.webhook_secret.get_secret_value()),
        )
        self.notifications = Notifications(
            self.database,
            self.jobs,
            self.cache,
            recipients,
            self.events,
            kept_for=timedelta(days=settings.notification_days),
            forget_more=[
                self.webhooks.remove_all,
                self.events.forget,
                self.preferences.forget,
            ],
        )
        self.inbox = Inbox(self.database, self.cache)
        self.batches = Batches(self.database, self.notifications)
        caller = WebhookCaller(settings)
        hosts = Hosts(self.limiter, settings.rate_limit_deliveries, breakers or CircuitBreakers())
        self.deliveries = Deliveries(
            settings,
            users,
            self.webhooks,
            self.preferences,
            caller,
            hosts,
            on_change=self.notifications.cache_status,
        )
        self.event_sender = EventSender(self.database, self.jobs, caller, hosts)
        self.handlers = [
            (self.jobs, self.deliveries.deliver),
            (self.event_jobs, self.event_sender.deliver),
        ]
        attempts = Attempts(self.database)
        self.attempts = {
            self.jobs.kind: attempts.of_notification,
            self.event_jobs.kind: attempts.of_event,
        }

    def cache_kinds(self) -> Sequence[CacheKind]:
        """Notifications, their delivery status, and the first page of each user's."""
        return [*self.notifications.cache_kinds(), *self.inbox.cache_kinds()]

    def checks(self) -> Mapping[str, Check]:
        """The mail server."""
        return {"mail": self._mail_check}

    def schedules(self) -> list[Schedule]:
        """What workers do at certain times: delete what is no longer needed."""
        delete_old_events = Schedule(
            "delete-old-events", "* * * * *", "UTC", self.events.delete_old
        )
        delete_old = self.notifications.delete_old
        delete_notifications = Schedule("delete-old-notifications", "37 * * * *", "UTC", delete_old)
        return [*super().schedules(), delete_old_events, delete_notifications]

    def _notification_jobs(
        self, settings: NotificationSettings, events: Events
    ) -> Jobs[Notification]:
        return Jobs(
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
            ended=events.notifications_ended,
        )


def services() -> Services:
    """The current app's services."""
    found: Services = current_app.extensions[NAME]
    return found
