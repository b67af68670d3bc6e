"""The worker of Task Processing with one more task type, which does nothing."""

from typing import Any

from app.services import Services  # type: ignore[import-not-found]  # it starts in the service's folder
from app.settings import TaskProcessingSettings  # type: ignore[import-not-found]  # as above
from app.task_types import FlightBooking, TaskType  # type: ignore[import-not-found]  # as above
from common.pyportal_common.jobs import worker_main

_NO_OP = TaskType("no_op", FlightBooking, time_limit_seconds=30)


def build_services(settings: TaskProcessingSettings) -> Services:
    """The service's dependencies, with the handler of the additional type."""
    services = Services(settings)
    services.task_handlers.register(_NO_OP, do_nothing)
    return services


def do_nothing(run: Any, _: Any) -> None:
    """End the task without any other change."""
    run.finish()


if __name__ == "__main__":
    worker_main(TaskProcessingSettings.load, build_services)
