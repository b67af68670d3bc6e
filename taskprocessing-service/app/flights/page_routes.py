"""The pages of the front about flights."""

from typing import Any

from flask import Response

from common.pyportal_common.web import current_user_id, rate_limit, request_key
from common.pyportal_common.web.pages import FrontPages, read_query, see_other, show, url

from ..services import services
from ..task_types import FLIGHT_BOOKING
from ..tasks.schemas import NewTask
from .schemas import FlightSearch, SeatsForm

pages = FrontPages("flights", __name__)

HOME = "/app/flights"


@pages.page("/flights")
def flight_list() -> Response:
    """Show flights, all or by origin, destination and day."""
    search = read_query(FlightSearch, upper=("origin", "destination"))
    page = services().flights.page(search).value
    return show("flights.html", page=page, search=search)


@pages.page("/flights/<id:flight_id>")
def flight_page(flight_id: int) -> Response:
    """Show a flight, with a form to book seats."""
    flight = services().flights.find(flight_id)
    seats = services().flights.availability(flight_id)
    return show("flight.html", flight=flight, seats_left=seats)


@pages.act("/flights/<id:flight_id>/book", form=SeatsForm, again=flight_page, once=True)
@rate_limit("tasks", by="user")
def book(form: SeatsForm, flight_id: int) -> Response:
    """Book seats by a task, and go to its page."""

    def booked(task: dict[str, Any]) -> Response:
        return see_other(url(f"/app/bookings/{task['taskId']}"))

    wanted = {"flightId": flight_id, "seats": form.seats}
    new = NewTask.model_validate({"taskType": FLIGHT_BOOKING.name, "parameters": wanted})
    user_id = current_user_id()
    return booked(services().tasks.create(new, user_id=user_id, key=request_key(booked)))
