"""Bookings: sell seats and return them, in the transactions that complete tasks."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Row

from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs import Outcome, Run

from ..flights.schemas import FlightView
from ..flights.service import Flights
from ..models import Booking, Flight, Task
from ..task_types import BookingCancellation, FlightBooking


class Bookings:
    """The handlers of booking tasks."""

    def __init__(self, flights: Flights) -> None:
        self._flights = flights

    def book(self, run: Run[Task], wanted: FlightBooking) -> None:
        """Sell the seats, and record the booking. Raises an Outcome."""
        run.finish(partial(self._sell, wanted))

    def _sell(self, wanted: FlightBooking, tx: Transaction, task: Task) -> None:
        flight = self._flights.take_seats(tx, wanted.flight_id, wanted.seats)
        if flight is None:
            raise _no_seats(tx, wanted)
        _refuse_departed(flight)
        booking = Booking(
            task_id=task.id,
            flight_id=flight.id,
            user_id=task.user_id,
            seats=wanted.seats,
            created_at=datetime.now(UTC),
        )
        tx.add(booking)  # written at the end, with those of other tasks by one statement
        task.details = {**_summary(flight), "seats": wanted.seats}

    def cancel(self, run: Run[Task], wanted: BookingCancellation) -> None:
        """Cancel a booking of the task's user, and return its seats. Raises an Outcome."""
        with run.transaction(Outcome.done()) as tx:
            task = run.job
            booking = tx.get(Booking, wanted.task_id, with_for_update=True)
            if booking is None or booking.user_id != task.user_id:
                raise Outcome.failed(f"Task {wanted.task_id} is not one of your bookings")
            if booking.cancelled_at is not None:
                raise Outcome.failed("The booking is already cancelled")
            flight = tx.get_one(Flight, booking.flight_id)
            _refuse_departed(flight)
            booking.cancelled_at = datetime.now(UTC)
            self._flights.take_seats(tx, flight.id, -booking.seats)
            task.details = {
                "bookingTaskId": booking.task_id,
                **_summary(flight),
                "seats": booking.seats,
            }


def _summary(flight: Flight | Row[Any]) -> dict[str, Any]:
    """Return what a task's details say about a flight."""
    fields = {"flight_id", "flight_number", "origin", "destination", "departs_at"}
    return FlightView.model_validate(flight).model_dump(mode="json", include=fields)


def _refuse_departed(flight: Flight | Row[Any]) -> None:
    if flight.departs_at <= datetime.now(UTC):
        raise Outcome.failed(f"Flight {flight.flight_number} has departed")


def _no_seats(tx: Transaction, wanted: FlightBooking) -> Outcome:
    """Why no seats could be taken, as of now."""
    flight = tx.get(Flight, wanted.flight_id, populate_existing=True)
    if flight is None:
        return Outcome.failed(f"Flight {wanted.flight_id} does not exist")
    _refuse_departed(flight)
    if flight.available_seats == 0:
        return Outcome.failed(f"Flight {flight.flight_number} is sold out")
    return Outcome.failed(
        f"Flight {flight.flight_number} has {flight.available_seats} seats left, not {wanted.seats}"
    )
