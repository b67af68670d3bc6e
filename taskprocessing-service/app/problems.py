"""The service's own errors, and the responses to them."""

from enum import unique

from common.pyportal_common.jobs import JobEnded, JobNotEnded
from common.pyportal_common.web import (
    CommonProblem,
    Detail,
    Problem,
    ProblemTable,
    ProblemType,
)

from . import errors

_BOOKINGS = "/api/v1/airliner/bookings"


@unique
class TaskProblem(ProblemType):
    """The kinds of errors of this service."""

    FLIGHT_ALREADY_EXISTS = (
        409,
        "Flight already exists",
        "A flight with this number departs at this time already. Change that one.",
    )
    TOO_FEW_SEATS = (
        409,
        "Too few seats",
        "More seats are booked than the flight would have. The details say how many.",
    )
    FLIGHT_DEPARTED = (
        409,
        "The flight has departed",
        "Bookings can be cancelled until the flight departs.",
    )
    TASK_ENDED = (
        409,
        "The task has ended",
        "A task can be cancelled until it ends. If it made a booking, the details name the call "
        "that cancels that.",
    )
    TASK_NOT_ENDED = (
        409,
        "Only a failed or cancelled task can be retried",
        "The task has succeeded, or has not ended yet.",
    )
    EXPORT_EXPIRED = (
        410,
        "The file has been deleted: create a new export",
        "The files of exports are kept for a limited time.",
    )


_NOT_FOUND = Problem(CommonProblem.NOT_FOUND)

PROBLEMS: ProblemTable = {
    errors.TaskNotFound: _NOT_FOUND,
    errors.BookingNotFound: _NOT_FOUND,
    errors.FlightNotFound: _NOT_FOUND,
    errors.ExportNotFound: _NOT_FOUND,
    errors.ExportExpired: Problem(TaskProblem.EXPORT_EXPIRED),
    errors.FlightAlreadyExists: Problem(
        TaskProblem.FLIGHT_ALREADY_EXISTS, [Detail("flightNumber", "Already departs at that time")]
    ),
    errors.TooFewSeats: lambda error: Problem(
        TaskProblem.TOO_FEW_SEATS,
        [Detail("totalSeats", f"Must be at least {error.booked}, the number of booked seats")],
    ),
    errors.FlightDeparted: Problem(TaskProblem.FLIGHT_DEPARTED),
    errors.UnknownParameter: lambda error: Problem(
        CommonProblem.VALIDATION_FAILED, [Detail(f"parameters.{error.name}", error.message)]
    ),
    errors.TaskHasBooking: lambda error: Problem(
        TaskProblem.TASK_ENDED,
        [Detail("task_id", f"Cancel its booking: POST {_BOOKINGS}/{error.task_id}/cancel")],
    ),
    JobEnded: Problem(TaskProblem.TASK_ENDED),
    JobNotEnded: Problem(TaskProblem.TASK_NOT_ENDED),
}
