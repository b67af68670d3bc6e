"""The types of tasks: parameters, time limits and handlers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field

from common.pyportal_common.fields import Id
from common.pyportal_common.jobs import Run
from common.pyportal_common.web import Schema

from .models import Task

_DEFAULT_TIME_LIMIT_SECONDS = 60.0


class FlightBooking(Schema):
    """Book seats on a flight: all of them, or none."""

    flight_id: Id
    seats: int = Field(ge=1, le=100, examples=[2])


class BookingCancellation(Schema):
    """Cancel one of the user's bookings and return its seats."""

    task_id: Id = Field(description="The task that booked them.")


class DataExport(Schema):
    """Export all tasks of the user that are older than this one. It has no parameters."""


Parameters = TypeVar("Parameters", bound=Schema)


@dataclass(frozen=True)
class TaskType(Generic[Parameters]):
    """A type of task. A task fails when an attempt takes longer than the time limit."""

    name: str
    parameters: type[Parameters]
    time_limit_seconds: float


FLIGHT_BOOKING = TaskType("flight_booking", FlightBooking, time_limit_seconds=30)
BOOKING_CANCELLATION = TaskType("booking_cancellation", BookingCancellation, time_limit_seconds=30)
DATA_EXPORT = TaskType("data_export", DataExport, time_limit_seconds=600)

TASK_TYPES: dict[str, TaskType[Any]] = {
    task_type.name: task_type for task_type in (FLIGHT_BOOKING, BOOKING_CANCELLATION, DATA_EXPORT)
}
"""The types that clients may create."""


class TaskHandlers:
    """The functions that run the tasks of each type."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType[Any]] = {}
        self._handlers: dict[str, Callable[[Run[Task], Any], None]] = {}

    def register(
        self, task_type: TaskType[Parameters], handler: Callable[[Run[Task], Parameters], None]
    ) -> None:
        """Run tasks of this type with `handler`, which gets the attempt and its parameters.

        It ends the attempt: see `Run.transaction`. It may be called again for a task whose
        worker died, so it changes SQL only in `run.transaction`.
        """
        self._types[task_type.name] = task_type
        self._handlers[task_type.name] = handler

    def run(self, run: Run[Task]) -> None:
        """Run a task with the handler of its type."""
        name = run.job.task_type
        self._handlers[name](run, self._types[name].parameters.model_validate(run.job.parameters))

    def time_limit(self, task: Task) -> float:
        """Seconds that an attempt may take, also for a type that only another version knows."""
        known = self._types.get(task.task_type)
        return known.time_limit_seconds if known else _DEFAULT_TIME_LIMIT_SECONDS
