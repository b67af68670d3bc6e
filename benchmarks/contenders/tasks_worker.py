"""The worker of Task Processing with one more task type, which does nothing."""

from typing import Any

from app import worker  # type: ignore[import-not-found]  # it starts in the service's folder
from app.bookings import FlightBooking  # type: ignore[import-not-found]  # as above
from app.task_types import TASK_TYPES  # type: ignore[import-not-found]  # as above


@TASK_TYPES.register("no_op", FlightBooking, time_limit_seconds=30)  # type: ignore[untyped-decorator]  # see the imports
def do_nothing(run: Any, _: Any, __: Any) -> None:
    """End the task without any other change."""
    with run.finish():
        pass


if __name__ == "__main__":
    worker.main()
