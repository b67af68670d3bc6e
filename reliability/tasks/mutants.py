"""Task Processing as it must not be: what the checks have to find."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app import bookings
from app.models import Booking, Task
from app.task_types import TaskTypes
from common.pyportal_common.jobs import JobFailed, Run

from .points import Points

_AFTER_SALE = 0.1


def book_without_transaction(task_types: TaskTypes, points: Points) -> None:
    """Sell the seats in one transaction, and complete the task in another."""

    def book(run: Run[Task], wanted: bookings.FlightBooking, mine: Any) -> None:
        with mine.database.begin() as tx:
            if not bookings._take(tx, wanted.flight_id, wanted.seats):
                raise JobFailed("Too few seats")
        points.die_perhaps("worker-killed:after-sale", _AFTER_SALE)
        with run.finish() as (tx, task):
            task.details = {"flightId": wanted.flight_id, "seats": wanted.seats}
            tx.add(
                Booking(
                    task_id=task.id,
                    flight_id=wanted.flight_id,
                    user_id=task.user_id,
                    seats=wanted.seats,
                    created_at=datetime.now(UTC),
                )
            )

    known = task_types["flight_booking"]
    task_types._types[known.name] = replace(known, do=book)
