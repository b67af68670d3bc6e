"""What the service works with, in requests and in workers."""

from dataclasses import dataclass

from common.pyportal_common.cache_handlers import Cache, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobQueue, Jobs, QueueSettings, WorkerSettings

from .models import Task
from .redis_helper import BookingRedisHelper
from .settings import TaskProcessingSettings
from .task_types import TASK_TYPES

NAME = "taskprocessing"


@dataclass(frozen=True)
class Collaborators:
    """All of it."""

    settings: TaskProcessingSettings
    database: Database
    redis_helper: BookingRedisHelper
    jobs: Jobs[Task]
    queue: JobQueue

    @classmethod
    def of(cls, settings: TaskProcessingSettings, redis_client: RedisClient) -> "Collaborators":
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
            redis_helper=BookingRedisHelper(redis_client),
            jobs=Jobs(
                database,
                Task,
                kind="tasks",
                time_limit=TASK_TYPES.time_limit,
                type_of=lambda task: task.task_type,
                attempts=work.job_attempts,
                lease_seconds=work.job_lease_seconds,
                resend_seconds=work.job_resend_seconds,
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
