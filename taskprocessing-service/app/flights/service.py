"""Flights, and how many seats are left on them. No HTTP here."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.cache_handlers import RedisPoolExhausted
from common.pyportal_common.db import Database, violated_columns

from .errors import FlightAlreadyExists, FlightNotFound, TooFewSeats
from .models import Flight
from .redis_helper import BookingRedisHelper
from .schemas import FlightSearch, FlightUpdate, FlightView, NewFlight


def add(new: NewFlight, *, database: Database) -> dict[str, Any]:
    """Add a flight, and return it as the API shows it. Raises FlightAlreadyExists."""
    now = datetime.now(UTC)
    flight = Flight(
        **new.model_dump(), available_seats=new.total_seats, created_at=now, updated_at=now
    )
    try:
        with database.begin() as tx:
            tx.add(flight)
    except IntegrityError as error:
        raise _already_exists(error) from error
    return _view(flight)


def find(flight_id: int, *, database: Database) -> dict[str, Any]:
    """A flight as the API shows it. Raises FlightNotFound."""
    with database.read() as tx:
        flight = tx.get(Flight, flight_id)
    if flight is None:
        raise FlightNotFound
    return _view(flight)


def page(
    search: FlightSearch, limit: int, *, database: Database
) -> tuple[list[dict[str, Any]], int | None]:
    """Up to `limit` flights, in the order of their ids, and the id that the next page is after."""
    wanted = select(Flight).where(Flight.id > int(search.cursor or 0))
    if search.origin is not None:
        wanted = wanted.where(Flight.origin == search.origin)
    if search.destination is not None:
        wanted = wanted.where(Flight.destination == search.destination)
    with database.read() as tx:
        rows = tx.scalars(wanted.order_by(Flight.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return [_view(flight) for flight in shown], shown[-1].id if len(rows) > limit else None


def change(flight_id: int, update: FlightUpdate, *, database: Database) -> dict[str, Any]:
    """Change what `update` names, and return the flight as the API shows it.

    Raises FlightNotFound, FlightAlreadyExists and TooFewSeats.
    """
    try:
        with database.begin() as tx:
            flight = tx.get(Flight, flight_id, with_for_update=True)
            if flight is None:
                raise FlightNotFound
            if update.departs_at is not None:
                flight.departs_at = update.departs_at
            if update.total_seats is not None:
                booked = flight.total_seats - flight.available_seats
                if update.total_seats < booked:
                    raise TooFewSeats(booked)
                flight.available_seats = update.total_seats - booked
                flight.total_seats = update.total_seats
            flight.updated_at = datetime.now(UTC)
    except IntegrityError as error:
        raise _already_exists(error) from error
    return _view(flight)


def availability(flight_id: int, *, database: Database, redis_helper: BookingRedisHelper) -> int:
    """How many seats are left, from the cache if it knows. Raises FlightNotFound.

    What is committed is what is shown. It may be gone before anybody can book it.
    """

    def load() -> int | None:
        with database.read() as tx:
            return tx.scalar(select(Flight.available_seats).where(Flight.id == flight_id))

    seats = redis_helper.get_or_load_flight_availability(flight_id, load)
    if seats is None:
        raise FlightNotFound
    return seats


def warm_availability(
    flight_id: int, *, database: Database, redis_helper: BookingRedisHelper
) -> None:
    """Cache how many seats are left, after a commit that changed that."""
    with suppress(RedisPoolExhausted, FlightNotFound):  # the next reader fills
        availability(flight_id, database=database, redis_helper=redis_helper)


def _view(flight: Flight) -> dict[str, Any]:
    return FlightView.model_validate(flight).model_dump(mode="json")


def _already_exists(error: IntegrityError) -> Exception:
    taken = violated_columns(error, ["flight_number", "departs_at"])
    return FlightAlreadyExists() if taken else error
