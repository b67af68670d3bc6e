"""What the service works with, in requests and in workers."""

from dataclasses import dataclass
from functools import partial

from common.pyportal_common.cache_handlers import (
    Cache,
    Limiter,
    RedisClient,
    SessionStore,
    get_session_client,
)
from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import JobQueue, Jobs, QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import OutboxMessage, OutboxSettings, outbox_jobs, publish
from common.pyportal_common.outbound import CircuitBreakers

from .models import Event, Task
from .redis_helper import BookingRedisHelper
from .settings import TaskProcessingSettings
from .task_types import TASK_TYPES

NAME = "taskprocessing"


@dataclass(frozen=True)
class Services:
    """All of it."""

    settings: TaskProcessingSettings
    database: Database
    redis_helper: BookingRedisHelper
    sessions: SessionStore
    limiter: Limiter
    jobs: Jobs[Task]
    events: Jobs[OutboxMessage]
    event_settings: OutboxSettings
    destinations: CircuitBreakers
    queue: JobQueue

    @classmethod
    def of(cls, settings: TaskProcessingSettings, redis_client: RedisClient) -> "Services":
        """Those that the variables describe. Connects to nothing. Raises ConfigurationError."""
        work = WorkerSettings.load()
        sessions = SessionStore(get_session_client())
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            pool_size=max(8, work.worker_threads + 3),
        )
        events = outbox_jobs(database, Event, work)
        return cls(
            settings=settings,
            database=database,
            redis_helper=BookingRedisHelper(redis_client),
            sessions=sessions,
            limiter=Limiter(sessions.client, service=NAME),
            events=events,
            event_settings=OutboxSettings.load(),
            destinations=CircuitBreakers(),
            jobs=Jobs(
                database,
                Task,
                kind="tasks",
                time_limit=TASK_TYPES.time_limit,
                type_of=lambda task: task.task_type,
                attempts=work.job_attempts,
                lease_seconds=work.job_lease_seconds,
                resend_seconds=work.job_resend_seconds,
                ended=partial(_tell, events=events),
            ),
            queue=JobQueue(NAME, QueueSettings.load()),
        )

    def send(self, task: Task) -> None:
        """Tell workers of a task that waits. The sweeper does, where Redis is unavailable."""
        self.queue.send(self.jobs.due(task))

    def close(self) -> None:
        """Close every connection to SQL and to the queues."""
        self.database.close()
        self.queue.close()


def _tell(tx: Transaction, task: Task, *, events: Jobs[OutboxMessage]) -> None:
    """Have the user notified of how a task ended, unless they ended it themselves."""
    data = {"taskReference": task.reference, "taskType": task.task_type}
    if task.status == task.STATES.done:
        body = {"template": "task_completed", "data": data | {"details": task.details}}
    elif task.status == task.STATES.failed:
        body = {"template": "task_failed", "data": data | {"error": task.error}}
    else:
        return
    to = {"channel": "email", "userId": task.user_id}
    publish(tx, Event(), jobs=events, body=to | body, leave_to_sweeper=True)
