"""The responses to the service's own errors."""

from common.pyportal_common.jobs import JobEnded, JobNotEnded
from common.pyportal_common.web import Detail, Problem, ProblemTable

from . import errors

_NOT_FOUND = Problem(404, "Not Found")

PROBLEMS: ProblemTable = {
    errors.TaskNotFound: _NOT_FOUND,
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
    JobEnded: Problem(409, "The task has ended"),
    JobNotEnded: Problem(409, "Only a failed or cancelled task can be retried"),
}
