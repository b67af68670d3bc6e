"""The pages of the front about a user's bookings."""

from collections.abc import Sequence
from typing import Any

from flask import Response

from common.pyportal_common.jobs import JobEnded
from common.pyportal_common.web import current_user_id, long_poll
from common.pyportal_common.web.pages import FrontPages, done, read_query, show, url

from ..errors import TaskHasBooking
from ..services import services
from ..task_types import FLIGHT_BOOKING
from ..tasks.schemas import Status, TaskSearch
from .schemas import BookingSearch

pages = FrontPages("bookings", __name__)

_POLL_AFTER = {"Retry-After": "1"}  # seconds
_GOING_ON: tuple[Status, ...] = ("pending", "processing")
_NOT_BOOKED: tuple[Status, ...] = ("failed", "cancelled")


@pages.page("/bookings")
def booking_list() -> Response:
    """Show the user's bookings, and the newest tasks that have made none."""
    search = read_query(BookingSearch)
    user_id = current_user_id()
    page = services().bookings.page(search, user_id=user_id).value
    return show(
        "bookings.html",
        page=page,
        search=search,
        going_on=_newest_tasks(_GOING_ON, user_id),
        not_booked=_newest_tasks(_NOT_BOOKED, user_id),
    )


@pages.page("/bookings/<id:booking_id>")
@long_poll
def booking_page(booking_id: int) -> Response:
    """Show the state of a booking, which htmx reads again when it changes."""
    return show_booking(booking_id)


def show_booking(booking_id: int) -> Response:
    """Show a booking, or the task that makes it; also another task, to which a mail may lead."""
    user_id = current_user_id()
    task = services().tasks.find(booking_id, user_id=user_id).value
    if task["taskType"] != FLIGHT_BOOKING.name:
        return show("task.html", task=task)
    is_going_on = task["status"] in _GOING_ON
    booking = flight = None
    if task["status"] == "completed":
        booking = services().bookings.find(booking_id, user_id=user_id)
    else:
        flight = services().flights.find(task["parameters"]["flightId"])
    response = show(
        "booking.html", task=task, booking=booking, flight=flight, is_going_on=is_going_on
    )
    if is_going_on:
        response.headers.update(_POLL_AFTER)
    return response


@pages.page("/bookings/<id:booking_id>/cancel")
def confirm_page(booking_id: int) -> Response:
    """Ask whether to cancel a booking."""
    booking = services().bookings.find(booking_id, user_id=current_user_id())
    return show("cancel.html", booking=booking)


@pages.act("/bookings/<id:booking_id>/cancel", again=confirm_page)
def cancel(booking_id: int) -> Response:
    """Cancel a booking."""
    services().bookings.cancel_now(booking_id, user_id=current_user_id())
    return done(url(f"/app/bookings/{booking_id}"), "The booking is cancelled.")


@pages.act("/bookings/<id:booking_id>/stop", again=show_booking)
def stop(booking_id: int) -> Response:
    """Cancel a task that has not ended."""
    back = url(f"/app/bookings/{booking_id}")
    try:
        services().tasks.cancel(booking_id, user_id=current_user_id())
    except (JobEnded, TaskHasBooking):
        return done(back, "It was too late to stop it.")
    return done(back, "It is being stopped.")


@pages.act("/bookings/<id:booking_id>/retry", again=show_booking)
def retry(booking_id: int) -> Response:
    """Retry a task that failed or was cancelled."""
    services().tasks.retry(booking_id, user_id=current_user_id())
    return done(url(f"/app/bookings/{booking_id}"), "It is tried again.")


def _newest_tasks(statuses: Sequence[Status], user_id: int) -> list[Any]:
    """Tasks of the user that book seats, ten at most of each status."""
    tasks = []
    for status in statuses:
        search = TaskSearch(type=FLIGHT_BOOKING.name, status=status, limit=10)
        tasks += services().tasks.page(search, user_id=user_id).value["items"]
    return tasks
