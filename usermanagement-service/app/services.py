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
from common.pyportal_common.jobs import JobQueue, Jobs, QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import OutboxMessage, OutboxSettings, outbox_jobs
from common.pyportal_common.outbound import CircuitBreakers

from .models import Event
from .outbox import Outbox
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .settings import UserManagementSettings

NAME = "usermanagement"


@dataclass(frozen=True)
class Services:
    """All of it."""

    settings: UserManagementSettings
    event_settings: OutboxSettings
    database: Database
    passwords: Passwords
    redis_helper: UserManagementRedisHelper
    sessions: SessionStore
    limiter: Limiter
    events: Jobs[OutboxMessage]
    queue: JobQueue
    outbox: Outbox
    destinations: CircuitBreakers

    @classmethod
    def of(cls, settings: UserManagementSettings, redis_client: RedisClient) -> "Services":
        """Those that the variables describe. Connects to nothing. Raises ConfigurationError."""
        work = WorkerSettings.load()
        sessions = SessionStore(get_session_client())
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            sessions=sessions,
            pool_size=max(8, work.worker_threads + 3),
        )
        events = outbox_jobs(database, Event, work)
        queue = JobQueue(NAME, QueueSettings.load())
        return cls(
            settings=settings,
            event_settings=OutboxSettings.load(),
            database=database,
            passwords=Passwords(concurrency=settings.hash_concurrency),
            redis_helper=UserManagementRedisHelper(redis_client, sessions.client),
            sessions=sessions,
            limiter=Limiter(sessions.client, service=NAME),
            events=events,
            queue=queue,
            outbox=Outbox(events, queue, public_url=settings.public_url),
            destinations=CircuitBreakers(),
        )

    def close(self) -> None:
        """Close every connection to SQL and to the queue."""
        self.database.close()
        self.queue.close()
