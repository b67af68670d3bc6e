"""What the service works with, in requests and in workers."""

from dataclasses import dataclass

from common.pyportal_common.cache_handlers import (
    Cache,
    Limiter,
    RedisClient,
    SessionStore,
    get_session_client,
)
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import Backoff, JobQueue, Jobs, QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.outbound import CircuitBreakers

from .emails import Mailer, mailer_for
from .models import Notification
from .redis_helper import NotificationRedisHelper
from .settings import NotificationSettings
from .users import Users

NAME = "notification"

_LONGEST_BACKOFF = 900.0  # seconds


@dataclass(frozen=True)
class Services:
    """All of it."""

    settings: NotificationSettings
    database: Database
    redis_helper: NotificationRedisHelper
    sessions: SessionStore
    limiter: Limiter
    users: Users
    mailer: Mailer
    destinations: CircuitBreakers
    jobs: Jobs[Notification]
    queue: JobQueue

    @classmethod
    def of(cls, settings: NotificationSettings, redis_client: RedisClient) -> "Services":
        """Those that the variables describe. Connects to nothing. Raises ConfigurationError."""
        work = WorkerSettings.load()
        sessions = SessionStore(get_session_client())
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            pool_size=max(8, work.worker_threads + 3),
        )
        return cls(
            settings=settings,
            database=database,
            redis_helper=NotificationRedisHelper(redis_client),
            sessions=sessions,
            limiter=Limiter(sessions.client, service=NAME),
            users=Users(OutboxSettings.load()),
            mailer=mailer_for(settings),
            destinations=CircuitBreakers(),
            jobs=Jobs(
                database,
                Notification,
                kind="notifications",
                time_limit=lambda _: 3 * settings.delivery_timeout_seconds + 30,
                type_of=lambda notification: notification.channel,
                attempts=settings.delivery_attempts,
                backoff=Backoff(settings.delivery_backoff_seconds, _LONGEST_BACKOFF),
                lease_seconds=work.job_lease_seconds,
                resend_seconds=work.job_resend_seconds,
            ),
            queue=JobQueue(NAME, QueueSettings.load()),
        )

    def send(self, notification: Notification) -> None:
        """Tell workers of it. The sweeper does, where Redis is unavailable."""
        self.queue.send(self.jobs.due(notification))

    def close(self) -> None:
        """Close every connection to SQL and to the queues."""
        self.database.close()
        self.queue.close()
