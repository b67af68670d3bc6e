"""The service's own errors."""


class TaskNotFound(Exception):
    """The user has no such task."""


class FlightNotFound(Exception):
    """No such flight exists."""


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
