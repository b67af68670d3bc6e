"""What can go wrong in task processing, in its own words."""


class TaskNotFound(Exception):
    """The user has no such task."""


class FlightNotFound(Exception):
    """There is no such flight."""


class FlightAlreadyExists(Exception):
    """There is a flight of that number at that time."""


class TooFewSeats(Exception):
    """More seats are booked than a flight is to have. `booked` says how many."""

    def __init__(self, booked: int) -> None:
        super().__init__(f"{booked} are booked")
        self.booked = booked


class IdempotencyKeyReused(Exception):
    """The idempotency key is that of another task."""


class NoFile(Exception):
    """The task has left no file."""


class ExportExpired(Exception):
    """The task left a file, which is not kept any more."""
