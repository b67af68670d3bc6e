"""The service's dependencies, for requests and for workers."""

from collections.abc import Sequence
from datetime import timedelta

from flask import current_app

from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.jobs import Jobs
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.jobs.schedules import Schedule
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.outbound import CircuitBreakers

from .bookings.service import Bookings
from .exports.service import Exports
from .flights.service import Flights
from .models import Message, Task
from .outbox import Outbox
from .redis_helper import REDIS_DB
from .settings import TaskProcessingSettings
from .task_types import BOOKING_CANCELLATION, DATA_EXPORT, FLIGHT_BOOKING, TaskHandlers
from .tasks.service import Tasks

NAME = "taskprocessing"


class Services(BaseServices):
    """The service's dependencies."""

    def __init__(self, settings: TaskProcessingSettings) -> None:
        super().__init__(NAME, settings, redis_db=REDIS_DB)
        database, hints, worker_settings = self.database, self.hints, self.worker_settings
        self.outbox: Outbox = Outbox(
            Message, database, hints, worker_settings, OutboxSettings.load(), CircuitBreakers()
        )
        self.flights = Flights(database, self.cache)
        self.exports = Exports(database, kept_for=timedelta(days=settings.export_days))
        self.bookings = Bookings(database, self.flights, self.outbox)
        self.task_handlers = _task_handlers(self.bookings, self.exports)
        self.jobs = Jobs(
            database,
            Task,
            kind="tasks",
            time_limit=self.task_handlers.time_limit,
            type_of=lambda task: task.task_type,
            attempts=worker_settings.job_attempts,
            lease_seconds=worker_settings.job_lease_seconds,
            owner=Task.user_id,
            hints=hints,
            ended=self.outbox.tasks_ended,
        )
        self.tasks = Tasks(
            database,
            self.jobs,
            self.cache,
            self.outbox,
            kept_for=timedelta(days=settings.task_days),
            exports_kept_for=timedelta(days=settings.export_days),
        )
        self.handlers = [(self.jobs, self.task_handlers.run)]

    def cache_kinds(self) -> Sequence[CacheKind]:
        """Tasks, the first page of each user's, and the seats left on flights."""
        return [*self.tasks.cache_kinds(), self.flights.cache_kind()]

    def schedules(self) -> list[Schedule]:
        """Delete old keys, exports, messages, audit entries and tasks."""
        delete_expired = self.exports.delete_expired
        delete_exports = Schedule("delete-expired-exports", "*/5 * * * *", "UTC", delete_expired)
        delete_tasks = Schedule("delete-old-tasks", "27 * * * *", "UTC", self.tasks.delete_old)
        return [*super().schedules(), delete_exports, delete_tasks]


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
