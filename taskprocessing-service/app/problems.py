"""The responses to the service's own errors."""

from common.pyportal_common.jobs import JobEnded, JobNotEnded
from common.pyportal_common.web import Detail, Problem, ProblemTable

from . import errors

_NOT_FOUND = Problem(404, "Not Found")

_BOOKINGS = "/api/v1/airliner/bookings"
_TASK_ENDED = "The task has ended"

PROBLEMS: ProblemTable = {
    errors.TaskNotFound: _NOT_FOUND,
    errors.BookingNotFound: _NOT_FOUND,
    errors.FlightNotFound: _NOT_FOUND,
    errors.ExportNotFound: _NOT_FOUND,
    errors.ExportExpired: Problem(410, "The file has been deleted: create a new export"),
    errors.FlightAlreadyExists: Problem(
        409, "Flight already exists", [Detail("flightNumber", "Already departs at that time")]
    ),
    errors.TooFewSeats: lambda error: Problem(
        409,
        "Too few seats",
        [Detail("totalSeats", f"Must be at least {error.booked}, the number of booked seats")],
    ),
    errors.FlightDeparted: Problem(409, "The flight has departed"),
    errors.UnknownParameter: lambda error: Problem(
        422, "Validation failed", [Detail(f"parameters.{error.name}", error.message)]
    ),
    errors.TaskHasBooking: lambda error: Problem(
        409,
        _TASK_ENDED,
        [Detail("task_id", f"Cancel its booking: POST {_BOOKINGS}/{error.task_id}/cancel")],
    ),
    JobEnded: Problem(409, _TASK_ENDED),
    JobNotEnded: Problem(409, "Only a failed or cancelled task can be retried"),
}
