"""The bodies of bookings, in camelCase."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from common.pyportal_common.web import Day, Page, PageQuery, View

from ..flights.schemas import Airport

BookingStatus = Literal["confirmed", "cancelled"]


class BookingSearch(PageQuery):
    """The query of GET /bookings."""

    status: BookingStatus | None = Field(None, description="Only bookings in this state.")
    date: Day | None = Field(None, description="The day on which it was requested, in UTC.")
    origin: Airport | None = Field(None, description="The airport of departure, such as LHR.")
    destination: Airport | None = Field(None, description="The airport of arrival.")
    departure: Day | None = Field(None, description="The day on which the flight departs, in UTC.")


class BookingView(View):
    """A booking as its user sees it."""

    booking_id: int = Field(description="The id of the task that booked it.")
    task_reference: str
    user_id: int
    status: BookingStatus
    seats: int
    flight_id: int
    flight_number: str
    origin: str
    destination: str
    departs_at: datetime
    created_at: datetime = Field(description="When its task was created.")
    confirmed_at: datetime = Field(description="When the seats were sold.")
    cancelled_at: datetime | None = Field(description="When the seats were returned.")


class BookingEnvelope(View):
    """One booking."""

    booking: BookingView


class BookingList(Page[BookingView]):
    """A page of bookings, the newest first."""
