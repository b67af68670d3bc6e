"""Flights over HTTP."""

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, url_for

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.web import (
    body,
    idempotent,
    login_required,
    query,
    reads,
    request_key,
    respond_page,
    responses,
)

from ..services import services
from .schemas import Availability, FlightEnvelope, FlightList, FlightSearch, FlightUpdate, NewFlight

routes = Blueprint("flights", __name__)


@routes.post("/flights")
@login_required(role="admin")
@body(NewFlight)
@idempotent
@responses(FlightEnvelope, status=201, problems=[409], headers={"Location": "The flight's URL."})
def add_flight(body: NewFlight) -> Response:
    """Add a flight.

    For admins. 409 if a flight with this number already departs at that time.
    """
    return _flight_added(services().flights.add(body, key=request_key(_flight_added)))


def _flight_added(flight: dict[str, Any]) -> Response:
    location = {"Location": url_for("flights.show_flight", flight_id=flight["flightId"])}
    return make_response(jsonify(flight=flight), 201, location)


@routes.get("/flights")
@login_required()
@query(FlightSearch)
@responses(FlightList)
def list_flights(query: FlightSearch) -> Response:
    """List the flights, all or by origin, destination and day of departure."""
    return respond_page(services().flights.page(query))


@routes.get("/flights/<id:flight_id>")
@login_required()
@responses(FlightEnvelope, problems=[404])
def show_flight(flight_id: int) -> Response:
    """Show a flight."""
    return jsonify(flight=services().flights.find(flight_id))


@routes.get("/flights/<id:flight_id>/availability")
@login_required()
@reads(keys.flight_availability)
@responses(Availability, problems=[404])
def show_availability(flight_id: int) -> Response:
    """Show how many seats are left on a flight.

    This is the committed number. It reserves nothing.
    """
    seats = services().flights.availability(flight_id)
    return jsonify(flight_id=flight_id, available_seats=seats)


@routes.patch("/flights/<id:flight_id>")
@login_required(role="admin")
@body(FlightUpdate)
@responses(FlightEnvelope, problems=[404, 409])
def change_flight(flight_id: int, body: FlightUpdate) -> Response:
    """Change a flight's departure or its number of seats.

    For admins. 409 for fewer seats than are booked.
    """
    return jsonify(flight=services().flights.change(flight_id, body))
