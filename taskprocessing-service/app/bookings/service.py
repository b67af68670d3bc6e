"""Bookings: sell seats and return them, mostly in the transactions that complete tasks."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, Select, select

from common.pyportal_common.cache_handlers import JsonValue
from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Outcome, Run

from ..errors import BookingNotFound, FlightDeparted
from ..filters import created_on, equal_to
from ..flights.schemas import FlightView
from ..flights.service import Flights
from ..models import Booking, Flight, Task
from ..outbox import Outbox
from ..task_types import BookingCancellation, FlightBooking
from .schemas import BookingSearch, BookingView

_Booked = Row[Booking, Flight, Task]
"""A booking, with its flight and the task that booked it."""
_BOOKINGS = select(Booking, Flight, Task).join_from(Booking, Flight).join(Task)

_OF_A_STATUS = {
    "confirmed": Booking.cancelled_at.is_(None),
    "cancelled": Booking.cancelled_at.is_not(None),
}

_SEARCHED = 1000  # bookings, for a page that is filtered by flight


class Bookings:
    """The bookings of all users, and the handlers of booking tasks."""

    def __init__(self, database: Database, flights: Flights, outbox: Outbox) -> None:
        self._database = database
        self._flights = flights
        self._outbox = outbox

    def page(self, search: BookingSearch, *, user_id: int) -> JsonValue:
        """Return a page of the user's bookings, the newest first.

        Not cached: a change of a flight changes the bookings of many users. With a filter by flight
        a page is searched for in a thousand bookings. So it may have fewer items, or none, and a
        next page.
        """
        found = _of_user(search, user_id)
        of_flight = equal_to(
            search,
            origin=Flight.origin,
            destination=Flight.destination,
            departure=Flight.departs_on,
        )
        with self._database.read() as tx:
            end = _end_of_search(tx, found) if of_flight else None
            if end is not None:
                found = found.where(Booking.task_id > end)
            rows = tx.execute(found.where(*of_flight).limit(search.limit + 1)).all()
        page = JsonValue.of([_view(row) for row in rows]).first_page(
            search.limit, cursor="bookingId"
        )
        if end is None or page.value["next"] is not None:
            return page
        return JsonValue.of({**page.value, "next": str(end + 1)})

    def find(self, booking_id: int, *, user_id: int) -> dict[str, Any]:
        """Return a booking of the user. Raises BookingNotFound."""
        with self._database.read() as tx:
            return _view(_booked_by(tx, _BOOKINGS, booking_id, user_id))

    def cancel_now(self, booking_id: int, *, user_id: int) -> dict[str, Any]:
        """Cancel a booking, return its seats and publish that. A cancelled one stays as it is.

        Raises BookingNotFound and FlightDeparted.
        """
        with self._database.begin() as tx:
            locked = _BOOKINGS.with_for_update(of=Booking)
            booked = _booked_by(tx, locked, booking_id, user_id)
            booking, flight, _ = booked
            if booking.cancelled_at is None:
                if _has_departed(flight):
                    raise FlightDeparted
                self._cancel(tx, booking)
                self._outbox.booking_cancelled(tx, booking, flight)
        return _view(booked)

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
            self._cancel(tx, booking)
            task.details = {
                "bookingTaskId": booking.task_id,
                **_summary(flight),
                "seats": booking.seats,
            }

    def _cancel(self, tx: Transaction, booking: Booking) -> None:
        """Cancel a booking that is locked and not cancelled."""
        booking.cancelled_at = datetime.now(UTC)
        self._flights.take_seats(tx, booking.flight_id, -booking.seats)


def _of_user(search: BookingSearch, user_id: int) -> Select[Booking, Flight, Task]:
    """What is left of the list without its filters by flight, the newest first."""
    found = _BOOKINGS.where(Booking.user_id == user_id).order_by(Booking.task_id.desc())
    if search.status is not None:
        found = found.where(_OF_A_STATUS[search.status])
    if search.date is not None:
        found = found.where(created_on(search.date, user_id, Booking.task_id))
    if search.cursor is not None:
        found = found.where(Booking.task_id < int(search.cursor))
    return found


def _end_of_search(tx: Transaction, bookings: Select[Booking, Flight, Task]) -> int | None:
    """The id of the first booking that is too many to search, if there are so many."""
    return tx.scalar(bookings.with_only_columns(Booking.task_id).offset(_SEARCHED).limit(1))


def _booked_by(
    tx: Transaction, bookings: Select[Booking, Flight, Task], booking_id: int, user_id: int
) -> _Booked:
    """A booking of the user. Raises BookingNotFound."""
    found = bookings.where(Booking.task_id == booking_id, Booking.user_id == user_id)
    row = tx.execute(found).first()
    if row is None:
        raise BookingNotFound
    return row


def _view(booked: _Booked) -> dict[str, Any]:
    booking, flight, task = booked
    view = BookingView(
        booking_id=booking.task_id,
        task_reference=task.reference,
        user_id=booking.user_id,
        status="confirmed" if booking.cancelled_at is None else "cancelled",
        seats=booking.seats,
        flight_id=flight.id,
        flight_number=flight.flight_number,
        origin=flight.origin,
        destination=flight.destination,
        departs_at=flight.departs_at,
        created_at=task.created_at,
        confirmed_at=booking.created_at,
        cancelled_at=booking.cancelled_at,
    )
    return view.model_dump(mode="json")


def _summary(flight: Flight | Row[Any]) -> dict[str, Any]:
    """Return what a task's details say about a flight."""
    fields = {"flight_id", "flight_number", "origin", "destination", "departs_at"}
    return FlightView.model_validate(flight).model_dump(mode="json", include=fields)


def _has_departed(flight: Flight | Row[Any]) -> bool:
    departs_at: datetime = flight.departs_at
    return departs_at <= datetime.now(UTC)


def _refuse_departed(flight: Flight | Row[Any]) -> None:
    if _has_departed(flight):
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
