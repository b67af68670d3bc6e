"""The service's own errors."""


class TaskNotFound(Exception):
    """The user has no such task."""


class TaskHasBooking(Exception):
    """The task has completed, so its booking has to be cancelled instead."""

    def __init__(self, task_id: int) -> None:
        super().__init__(f"task {task_id} has a booking")
        self.task_id = task_id


class BookingNotFound(Exception):
    """The user has no such booking."""


class FlightNotFound(Exception):
    """No such flight exists."""


class FlightDeparted(Exception):
    """The flight has departed."""


class UnknownParameter(Exception):
    """A parameter of a new task names something that does not exist."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class FlightAlreadyExists(Exception):
    """A flight with this number already departs at that time."""


class TooFewSeats(Exception):
    """A flight would have fewer seats than are booked. `booked` is their number."""

    def __init__(self, booked: int) -> None:
        super().__init__(f"{booked} seats are booked")
        self.booked = booked


class ExportNotFound(Exception):
    """The task has no file: it is not an export, or not completed."""


class ExportExpired(Exception):
    """The file of the export has been deleted."""
