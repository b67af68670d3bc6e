"""What goes wrong in task processing, as HTTP answers it."""

from flask import Flask, Response

from common.pyportal_common.jobs import JobEnded, JobNotEnded
from common.pyportal_common.web import Detail, Problem, problem_response, used_twice

from .errors import (
    FileForgotten,
    FlightAlreadyExists,
    FlightNotFound,
    KeyUsedTwice,
    NoFile,
    TaskNotFound,
    TooFewSeats,
)


def register_problems(app: Flask) -> None:
    """Answer the service's own errors."""
    for error in (TaskNotFound, FlightNotFound, NoFile):
        app.register_error_handler(error, _not_found)
    app.register_error_handler(FileForgotten, _gone)
    app.register_error_handler(FlightAlreadyExists, _taken)
    app.register_error_handler(TooFewSeats, _too_few)
    app.register_error_handler(KeyUsedTwice, lambda _: problem_response(used_twice()))
    app.register_error_handler(JobEnded, _ended)
    app.register_error_handler(JobNotEnded, _not_ended)


def _not_found(_: Exception) -> Response:
    return problem_response(Problem(404, "Not Found"))


def _gone(_: FileForgotten) -> Response:
    return problem_response(Problem(410, "The file is not kept any more: export again"))


def _taken(_: FlightAlreadyExists) -> Response:
    details = [Detail("flightNumber", "departs at that time already")]
    return problem_response(Problem(409, "Flight already exists", details))


def _too_few(error: TooFewSeats) -> Response:
    details = [Detail("totalSeats", f"must be at least {error.booked}: so many are booked")]
    return problem_response(Problem(409, "Too few seats", details))


def _ended(_: JobEnded) -> Response:
    return problem_response(Problem(409, "The task has ended"))


def _not_ended(_: JobNotEnded) -> Response:
    return problem_response(Problem(409, "Only a task that failed or was cancelled begins anew"))
