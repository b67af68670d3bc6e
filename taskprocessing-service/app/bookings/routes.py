"""Bookings over HTTP."""

from flask import Blueprint, Response, jsonify

from common.pyportal_common.web import (
    current_user_id,
    login_required,
    query,
    respond_page,
    responses,
)

from ..services import services
from .schemas import BookingEnvelope, BookingList, BookingSearch

routes = Blueprint("bookings", __name__)


@routes.get("/bookings")
@login_required()
@query(BookingSearch)
@responses(BookingList)
def list_bookings(query: BookingSearch) -> Response:
    """List the user's own bookings, the newest first.

    With a filter by flight, a page may have fewer items than `limit`, or none, and a `next`.
    """
    return respond_page(services().bookings.page(query, user_id=current_user_id()))


@routes.get("/bookings/<id:booking_id>")
@login_required()
@responses(BookingEnvelope, problems=[404])
def show_booking(booking_id: int) -> Response:
    """Show one of the user's own bookings.

    404 until the task with this id has completed.
    """
    return jsonify(booking=services().bookings.find(booking_id, user_id=current_user_id()))


@routes.post("/bookings/<id:booking_id>/cancel")
@login_required()
@responses(BookingEnvelope, problems=[404, 409])
def cancel_booking(booking_id: int) -> Response:
    """Cancel a booking and return its seats.

    At once, and safe to repeat: a cancelled booking stays as it is. 409 if the flight has departed.
    """
    return jsonify(booking=services().bookings.cancel_now(booking_id, user_id=current_user_id()))
