"""What the service works with, in requests and in workers."""

from dataclasses import dataclass

from common.pyportal_common.cache_handlers import (
    Cache,
    Limiter,
    RedisClient,
    SessionStore,
    get_session_client,
)
from common.pyportal_common.db.database import Database
from common.pyportal_common.jobs import JobQueue, Jobs, QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import EventRow, EventSettings, event_jobs
from common.pyportal_common.outbound.breakers import Destinations

from .models import Event
from .outbox import Outbox
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .settings import UserManagementSettings

NAME = "usermanagement"


@dataclass(frozen=True)
class Collaborators:
    """All of it."""

    settings: UserManagementSettings
    event_settings: EventSettings
    database: Database
    passwords: Passwords
    redis_helper: UserManagementRedisHelper
    sessions: SessionStore
    limiter: Limiter
    events: Jobs[EventRow]
    queue: JobQueue
    outbox: Outbox
    destinations: Destinations

    @classmethod
    def of(cls, settings: UserManagementSettings, redis_client: RedisClient) -> "Collaborators":
        """Those that the variables describe. Connects to nothing. Raises ConfigurationError."""
        work = WorkerSettings.load()
        sessions = SessionStore(get_session_client())
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            sessions=sessions,
            pool_size=max(8, work.worker_threads + 3),
        )
        events = event_jobs(database, Event, work)
        queue = JobQueue(NAME, QueueSettings.load())
        return cls(
            settings=settings,
            event_settings=EventSettings.load(),
            database=database,
            passwords=Passwords(concurrency=settings.hash_concurrency),
            redis_helper=UserManagementRedisHelper(redis_client, sessions.client),
            sessions=sessions,
            limiter=Limiter(redis_client, service=NAME),
            events=events,
            queue=queue,
            outbox=Outbox(events, queue, public_url=settings.public_url),
            destinations=Destinations(),
        )

    def close(self) -> None:
        """Close every connection to SQL and to the queue."""
        self.database.close()
        self.queue.close()
