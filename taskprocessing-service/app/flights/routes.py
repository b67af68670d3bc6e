"""Flights over HTTP: parse, call, answer."""

from flask import Blueprint, Response, jsonify

from common.pyportal_common.web import body, idempotent, login_required, query, respond, responses

from . import flights
from .context import PREFIX, services
from .schemas import (
    Availability,
    FlightEnvelope,
    FlightList,
    FlightSearch,
    FlightUpdate,
    NewFlight,
)

routes = Blueprint("flights", __name__, url_prefix=PREFIX)

_PAGE = 50  # flights


@routes.post("/flights")
@login_required(role="admin")
@idempotent(secret=False)
@body(NewFlight)
@responses(FlightEnvelope, status=201, problems=[409], headers={"Location": "Where the flight is."})
def add_flight(body: NewFlight) -> tuple[Response, int, dict[str, str]]:
    """For admins: add a flight."""
    flight = flights.add(body, database=services().database)
    location = {"Location": f"{PREFIX}/flights/{flight['flightId']}"}
    return jsonify(flight=flight), 201, location


@routes.get("/flights")
@login_required()
@query(FlightSearch)
@responses(FlightList)
def list_flights(query: FlightSearch) -> Response:
    """Flights, all or those between two airports."""
    items, after = flights.page(query, _PAGE, database=services().database)
    return jsonify(items=items, next=None if after is None else str(after))


@routes.get("/flights/<id:flight_id>")
@login_required()
@responses(FlightEnvelope, problems=[404])
def show_flight(flight_id: int) -> Response:
    """A flight."""
    return jsonify(flight=flights.find(flight_id, database=services().database))


@routes.get("/flights/<id:flight_id>/availability")
@login_required()
@responses(Availability, problems=[404])
def warm_availability(flight_id: int) -> Response:
    """How many seats are left."""
    mine = services()
    seats = flights.availability(flight_id, database=mine.database, redis_helper=mine.redis_helper)
    return respond(Availability(flight_id=flight_id, available_seats=seats))


@routes.patch("/flights/<id:flight_id>")
@login_required(role="admin")
@body(FlightUpdate)
@responses(FlightEnvelope, problems=[404, 409])
def change_flight(flight_id: int, body: FlightUpdate) -> Response:
    """For admins: move a flight, or give it other seats."""
    flight = flights.change(flight_id, body, database=services().database)
    return jsonify(flight=flight)
