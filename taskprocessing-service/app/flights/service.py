"""Flights: add, read, change, and take seats."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Integer, Row, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.cache_handlers import (
    Cache,
    Fill,
    JsonValue,
    Number,
    Policy,
    keys,
)
from common.pyportal_common.db import (
    NO_KEY,
    Database,
    IdempotencyKey,
    Transaction,
    UtcDateTime,
    fill_at_commit,
    violated_columns,
)
from common.pyportal_common.db.consistency import CacheKind

from ..errors import FlightAlreadyExists, FlightNotFound, TooFewSeats
from ..filters import equal_to
from ..models import Flight
from .schemas import FlightSearch, FlightUpdate, FlightView, NewFlight

# Five minutes in total. In the last thirty seconds, one reader refreshes the number for all others.
_AVAILABILITY_CACHING = Policy(ttl=270, stale_for=30, shape=Number())

_FLIGHTS: Any = Flight.__table__
_seats = bindparam("taken", type_=Integer)
_TAKE_SEATS = (  # without the ORM, which takes longer
    update(_FLIGHTS)
    .where(_FLIGHTS.c.id == bindparam("of_flight"), _FLIGHTS.c.available_seats >= _seats)
    .values(
        available_seats=_FLIGHTS.c.available_seats - _seats,
        updated_at=bindparam("now", type_=UtcDateTime),
    )
    .returning(*_FLIGHTS.c)
)


class Flights:
    """All flights, and the seats left on them. Flights are returned as the API shows them."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache

    def add(self, new: NewFlight, *, key: IdempotencyKey = NO_KEY) -> dict[str, Any]:
        """Add a flight. Raises FlightAlreadyExists."""
        now = datetime.now(UTC)
        flight = Flight(
            **new.model_dump(),
            departs_on=new.departs_at.date(),
            available_seats=new.total_seats,
            created_at=now,
            updated_at=now,
        )
        try:
            with self._database.begin() as tx, key.claim(tx) as keep:
                tx.add(flight)
                tx.flush()  # for the id
                keep(_view(flight))
        except IntegrityError as error:
            raise _already_exists(error) from error
        return _view(flight)

    def find(self, flight_id: int) -> dict[str, Any]:
        """Return a flight. Raises FlightNotFound."""
        with self._database.read() as tx:
            flight = tx.get(Flight, flight_id)
        if flight is None:
            raise FlightNotFound
        return _view(flight)

    def page(self, search: FlightSearch) -> JsonValue:
        """Return a page of flights in the order of their ids."""
        found = select(Flight).where(
            Flight.id > int(search.cursor or 0),
            *equal_to(
                search,
                origin=Flight.origin,
                destination=Flight.destination,
                departure=Flight.departs_on,
            ),
        )
        with self._database.read() as tx:
            rows = tx.scalars(found.order_by(Flight.id).limit(search.limit + 1)).all()
        flights = JsonValue.of([_view(flight) for flight in rows])
        return flights.first_page(search.limit, cursor="flightId")

    def change(self, flight_id: int, changes: FlightUpdate) -> dict[str, Any]:
        """Change a flight. Raises FlightNotFound, FlightAlreadyExists and TooFewSeats."""
        try:
            with self._database.begin() as tx:
                flight = tx.get(Flight, flight_id, with_for_update=True)
                if flight is None:
                    raise FlightNotFound
                if changes.departs_at is not None:
                    flight.departs_at = changes.departs_at
                    flight.departs_on = changes.departs_at.date()
                if changes.total_seats is not None:
                    _change_seats(flight, changes.total_seats)
                flight.updated_at = datetime.now(UTC)
        except IntegrityError as error:
            raise _already_exists(error) from error
        return _view(flight)

    def take_seats(self, tx: Transaction, flight_id: int, seats: int) -> Row[Any] | None:
        """Take seats in this transaction, or return them if the number is negative.

        Returns the row of the flight. None, without any effect, if it has fewer, or does not exist.
        One conditional UPDATE: two transactions cannot take the same seat. The commit caches how
        many are left.
        """
        wanted = {"of_flight": flight_id, "taken": seats, "now": datetime.now(UTC)}
        flight = tx.connection().execute(_TAKE_SEATS, wanted).first()
        if flight is not None:
            left = Fill.of(flight.available_seats, _AVAILABILITY_CACHING)
            fill_at_commit(tx, {keys.flight_availability(flight_id): left})
        return flight

    def availability(self, flight_id: int) -> int:
        """Return how many seats are left, from the cache if possible. Raises FlightNotFound.

        It is the committed number: the seats may be gone before the reader can book them.
        """
        load = partial(self._load_seats, flight_id)
        key = keys.flight_availability(flight_id)
        seats: int | None = self._cache.get_or_load(key, load, _AVAILABILITY_CACHING)
        if seats is None:
            raise FlightNotFound
        return seats

    def cache_kind(self) -> CacheKind:
        """The kind of value that is cached, and how it follows from SQL."""
        return CacheKind(keys.flight_availability, self._load_seats, _AVAILABILITY_CACHING)

    def _load_seats(self, flight_id: int) -> int | None:
        with self._database.read() as tx:
            return tx.scalar(select(Flight.available_seats).where(Flight.id == flight_id))


def _change_seats(flight: Flight, total_seats: int) -> None:
    booked = flight.total_seats - flight.available_seats
    if total_seats < booked:
        raise TooFewSeats(booked)
    flight.available_seats = total_seats - booked
    flight.total_seats = total_seats


def _view(flight: Flight) -> dict[str, Any]:
    return FlightView.model_validate(flight).model_dump(mode="json")


def _already_exists(error: IntegrityError) -> Exception:
    taken = violated_columns(error, ["flight_number", "departs_at"])
    return FlightAlreadyExists() if taken else error
