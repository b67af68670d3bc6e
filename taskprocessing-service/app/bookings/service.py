"""Tasks that sell seats, and that take them back."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import update

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs import JobFailed, Run
from common.pyportal_common.web import Schema

from . import flights
from .models import Booking, Flight, Task
from .schemas import FlightView
from .services import Services
from .task_types import TASK_TYPES

_ID = 10**18 - 1  # the greatest


class FlightBooking(Schema):
    """Seats on a flight: all of them, or none."""

    flight_id: int = Field(ge=1, le=_ID, examples=[1])
    seats: int = Field(ge=1, le=100, examples=[2])


class BookingCancellation(Schema):
    """The seats of a booking of one's own are given back."""

    task_id: int = Field(ge=1, le=_ID, examples=[1], description="The task that booked them.")


@TASK_TYPES.register("flight_booking", FlightBooking, time_limit_seconds=30)
def book(run: Run[Task], wanted: FlightBooking, mine: Services) -> None:
    """Sell the seats, and keep who has them, in the transaction that completes the task."""
    with run.finish() as (tx, task):
        flight = tx.get(Flight, wanted.flight_id)
        if flight is None:
            raise JobFailed(f"There is no flight {wanted.flight_id}")
        if flight.departs_at <= datetime.now(UTC):
            raise JobFailed(f"Flight {flight.flight_number} has departed")
        if not _take(tx, flight.id, wanted.seats):
            raise _too_few(tx, flight, wanted.seats)
        tx.add(
            Booking(
                task_id=task.id,
                flight_id=flight.id,
                user_id=task.user_id,
                seats=wanted.seats,
                created_at=datetime.now(UTC),
            )
        )
        task.details = {**_summary(flight), "seats": wanted.seats}
    flights.warm_availability(
        wanted.flight_id, database=mine.database, redis_helper=mine.redis_helper
    )


@TASK_TYPES.register("booking_cancellation", BookingCancellation, time_limit_seconds=30)
def cancel(run: Run[Task], wanted: BookingCancellation, mine: Services) -> None:
    """Give the seats back, in the transaction that completes the task."""
    with run.finish() as (tx, task):
        booking = tx.get(Booking, wanted.task_id, with_for_update=True)
        if booking is None or booking.user_id != task.user_id:
            raise JobFailed(f"You have no booking by task {wanted.task_id}")
        if booking.cancelled_at is not None:
            raise JobFailed("The booking is cancelled already")
        flight = tx.get_one(Flight, booking.flight_id)
        if flight.departs_at <= datetime.now(UTC):
            raise JobFailed(f"Flight {flight.flight_number} has departed")
        booking.cancelled_at = datetime.now(UTC)
        _take(tx, flight.id, -booking.seats)
        task.details = {
            "bookingTaskId": booking.task_id,
            **_summary(flight),
            "seats": booking.seats,
        }
    flights.warm_availability(flight.id, database=mine.database, redis_helper=mine.redis_helper)


def _summary(flight: Flight) -> dict[str, Any]:
    """What a booking tells of its flight."""
    told = {"flight_id", "flight_number", "origin", "destination", "departs_at"}
    return FlightView.model_validate(flight).model_dump(mode="json", include=told)


def _take(tx: Transaction, flight_id: int, seats: int) -> bool:
    """Whether so many seats were left: then they are taken. No two can take the same."""
    taken = tx.execute(
        update(Flight)
        .where(Flight.id == flight_id, Flight.available_seats >= seats)
        .values(available_seats=Flight.available_seats - seats, updated_at=datetime.now(UTC))
        .returning(Flight.id),
        execution_options={
            "cache_keys": [keys.flight_availability(flight_id)],
            "synchronize_session": False,
        },
    )
    return taken.first() is not None


def _too_few(tx: Transaction, flight: Flight, seats: int) -> JobFailed:
    tx.refresh(flight)
    if flight.available_seats == 0:
        return JobFailed(f"Flight {flight.flight_number} is sold out")
    return JobFailed(
        f"Flight {flight.flight_number} has {flight.available_seats} seats left, not {seats}"
    )
