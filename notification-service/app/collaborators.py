"""What the service works with, in requests and in workers."""

from dataclasses import dataclass

from common.pyportal_common.cache_handlers import Cache, Limiter, RedisClient
from common.pyportal_common.db.database import Database
from common.pyportal_common.jobs import Backoff, JobQueue, Jobs, QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import EventSettings
from common.pyportal_common.outbound.breakers import Destinations

from .emails import Mailer, mailer_for
from .models import Notification
from .redis_helper import NotificationRedisHelper
from .settings import NotificationSettings
from .users import Users

NAME = "notification"

_LONGEST_BACKOFF = 900.0  # seconds


@dataclass(frozen=True)
class Collaborators:
    """All of it."""

    settings: NotificationSettings
    database: Database
    redis_helper: NotificationRedisHelper
    limiter: Limiter
    users: Users
    mailer: Mailer
    destinations: Destinations
    jobs: Jobs[Notification]
    queue: JobQueue

    @classmethod
    def of(cls, settings: NotificationSettings, redis_client: RedisClient) -> "Collaborators":
        """Those that the variables describe. Connects to nothing. Raises ConfigurationError."""
        work = WorkerSettings.load()
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            pool_size=max(8, work.worker_threads + 3),
        )
        return cls(
            settings=settings,
            database=database,
            redis_helper=NotificationRedisHelper(redis_client),
            limiter=Limiter(redis_client, service=NAME),
            users=Users(EventSettings.load()),
            mailer=mailer_for(settings),
            destinations=Destinations(),
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
