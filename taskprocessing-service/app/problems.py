"""How the service's own errors are answered."""

from common.pyportal_common.jobs import JobEnded, JobNotEnded
from common.pyportal_common.web import Detail, Problem, ProblemTable, idempotency_key_reused

from .errors import (
    ExportExpired,
    FlightAlreadyExists,
    FlightNotFound,
    IdempotencyKeyReused,
    NoFile,
    TaskNotFound,
    TooFewSeats,
)

_NOT_FOUND = Problem(404, "Not Found")

PROBLEMS: ProblemTable = {
    TaskNotFound: _NOT_FOUND,
    FlightNotFound: _NOT_FOUND,
    NoFile: _NOT_FOUND,
    ExportExpired: Problem(410, "The file has been deleted: create a new export"),
    FlightAlreadyExists: Problem(
        409, "Flight already exists", [Detail("flightNumber", "Already departs at that time")]
    ),
    TooFewSeats: lambda error: Problem(
        409,
        "Too few seats",
        [Detail("totalSeats", f"Must be at least {error.booked}, the number of booked seats")],
    ),
    IdempotencyKeyReused: idempotency_key_reused(),
    JobEnded: Problem(409, "The task has ended"),
    JobNotEnded: Problem(409, "Only a failed or cancelled task can be retried"),
}
