"""The service's dependencies, for requests and for workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app

from common.pyportal_common.cache_handlers import (
    Cache,
    Limiter,
    RedisClient,
    SessionStore,
    get_redis_client,
    get_session_client,
)
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import (
    Backoff,
    JobHandler,
    JobQueue,
    Jobs,
    QueueSettings,
    WorkerSettings,
)
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.outbound import CircuitBreakers

from .deliveries.service import Deliveries
from .models import Notification
from .notifications.recipients import Recipients
from .notifications.service import Notifications
from .redis_helper import REDIS_DB, NotificationRedisHelper
from .settings import NotificationSettings
from .users import Users
from .webhooks.service import Webhooks

NAME = "notification"

_MAX_BACKOFF_SECONDS = 900.0


@dataclass(frozen=True)
class Services:
    """The service's dependencies."""

    redis_client: RedisClient
    sessions: SessionStore
    limiter: Limiter
    database: Database
    queue: JobQueue
    jobs: Jobs[Notification]
    notifications: Notifications
    webhooks: Webhooks
    deliveries: Deliveries

    @classmethod
    def of(
        cls, settings: NotificationSettings, *, breakers: CircuitBreakers | None = None
    ) -> "Services":
        """Create the dependencies. Opens no connection. Raises ConfigurationError."""
        worker_settings = WorkerSettings.load()
        redis_client = get_redis_client(default_db=REDIS_DB)
        sessions = SessionStore(get_session_client())
        limiter = Limiter(sessions.client, service=NAME)
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            pool_size=max(8, worker_settings.worker_threads + 3),
        )
        jobs = _jobs(database, settings, worker_settings)
        queue = JobQueue(NAME, QueueSettings.load())
        users = Users(OutboxSettings.load())
        webhooks = Webhooks(database)
        recipients = Recipients(
            users, webhooks, allow_unregistered=bool(settings.webhook_secret.get_secret_value())
        )
        redis_helper = NotificationRedisHelper(redis_client)
        notifications = Notifications(database, jobs, queue, redis_helper, recipients, webhooks)
        return cls(
            redis_client=redis_client,
            sessions=sessions,
            limiter=limiter,
            database=database,
            queue=queue,
            jobs=jobs,
            notifications=notifications,
            webhooks=webhooks,
            deliveries=Deliveries(
                settings,
                users,
                webhooks,
                limiter,
                breakers or CircuitBreakers(),
                on_change=notifications.cache_status,
            ),
        )

    @property
    def handlers(self) -> Sequence[tuple[Jobs[Any], JobHandler]]:
        """The jobs that workers run, and the function that runs one of them."""
        return [(self.jobs, self.deliveries.deliver)]

    def housekeeping(self) -> None:
        """Nothing: the service keeps its notifications."""

    def close(self) -> None:
        """Close the connections to SQL and to the queues."""
        self.database.close()
        self.queue.close()


def services() -> Services:
    """The current app's services."""
    found: Services = current_app.extensions[NAME]
    return found


def _jobs(
    database: Database, settings: NotificationSettings, worker_settings: WorkerSettings
) -> Jobs[Notification]:
    return Jobs(
        database,
        Notification,
        kind="notifications",
        time_limit=lambda _: 3 * settings.delivery_timeout_seconds + 30,
        type_of=lambda notification: notification.channel,
        attempts=settings.delivery_attempts,
        backoff=Backoff(settings.delivery_backoff_seconds, _MAX_BACKOFF_SECONDS),
        lease_seconds=worker_settings.job_lease_seconds,
        resend_seconds=worker_settings.job_resend_seconds,
    )
