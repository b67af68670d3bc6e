"""The service's dependencies, for requests and for workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import current_app

from common.pyportal_common.cache_handlers import (
    Cache,
    RedisClient,
    SessionStore,
    get_redis_client,
    get_session_client,
)
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobHandler, JobQueue, Jobs, QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import OutboxMessage, OutboxSettings, outbox_jobs
from common.pyportal_common.outbound import CircuitBreakers

from .bookings.service import Bookings
from .exports.service import Exports
from .flights.service import Flights
from .models import Message, Task
from .outbox import Outbox
from .redis_helper import REDIS_DB, BookingRedisHelper
from .settings import TaskProcessingSettings
from .task_types import BOOKING_CANCELLATION, DATA_EXPORT, FLIGHT_BOOKING, TaskHandlers
from .tasks.service import Tasks

NAME = "taskprocessing"


@dataclass(frozen=True)
class Services:
    """The service's dependencies."""

    redis_client: RedisClient
    sessions: SessionStore
    database: Database
    queue: JobQueue
    jobs: Jobs[Task]
    messages: Jobs[OutboxMessage]
    outbox: Outbox
    task_handlers: TaskHandlers
    tasks: Tasks
    flights: Flights
    exports: Exports

    @classmethod
    def of(cls, settings: TaskProcessingSettings) -> "Services":
        """Create the dependencies. Opens no connection. Raises ConfigurationError."""
        worker_settings = WorkerSettings.load()
        redis_client = get_redis_client(default_db=REDIS_DB)
        redis_helper = BookingRedisHelper(redis_client)
        sessions = SessionStore(get_session_client())
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            pool_size=max(8, worker_settings.worker_threads + 3),
        )
        flights = Flights(database, redis_helper)
        exports = Exports(database, kept_for=timedelta(days=settings.export_days))
        task_handlers = _task_handlers(Bookings(flights), exports)
        messages = outbox_jobs(database, Message, worker_settings)
        outbox = Outbox(messages, OutboxSettings.load(), CircuitBreakers())
        jobs = Jobs(
            database,
            Task,
            kind="tasks",
            time_limit=task_handlers.time_limit,
            type_of=lambda task: task.task_type,
            attempts=worker_settings.job_attempts,
            lease_seconds=worker_settings.job_lease_seconds,
            resend_seconds=worker_settings.job_resend_seconds,
            ended=outbox.task_ended,
        )
        queue = JobQueue(NAME, QueueSettings.load())
        return cls(
            redis_client=redis_client,
            sessions=sessions,
            database=database,
            queue=queue,
            jobs=jobs,
            messages=messages,
            outbox=outbox,
            task_handlers=task_handlers,
            tasks=Tasks(database, jobs, queue, redis_helper, outbox),
            flights=flights,
            exports=exports,
        )

    @property
    def handlers(self) -> Sequence[tuple[Jobs[Any], JobHandler]]:
        """The jobs that workers run, and the function that runs each kind."""
        return [(self.jobs, self.task_handlers.run), (self.messages, self.outbox.deliver)]

    def housekeeping(self) -> None:
        """Delete expired exports, and messages that ended a week ago."""
        self.exports.delete_expired()
        self.outbox.delete_old(self.database)

    def close(self) -> None:
        """Close the connections to SQL and to the queues."""
        self.database.close()
        self.queue.close()


def services() -> Services:
    """The current app's services."""
    found: Services = current_app.extensions[NAME]
    return found


def _task_handlers(bookings: Bookings, exports: Exports) -> TaskHandlers:
    handlers = TaskHandlers()
    handlers.register(FLIGHT_BOOKING, bookings.book)
    handlers.register(BOOKING_CANCELLATION, bookings.cancel)
    handlers.register(DATA_EXPORT, exports.write)
    return handlers
