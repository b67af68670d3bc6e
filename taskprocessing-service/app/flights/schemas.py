"""The bodies of flights, in camelCase; those of availability in snake_case, for compatibility."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Day, Page, PageQuery, Schema, View, otherwise

_LATEST_DEPARTURE = datetime(3000, 1, 1, tzinfo=UTC)


def _in_the_future(moment: datetime) -> datetime:
    if not datetime.now(UTC) < moment < _LATEST_DEPARTURE:
        raise PydanticCustomError("future", "Must be in the future and before the year 3000")
    return moment.astimezone(UTC).replace(microsecond=0)


FlightNumber = Annotated[
    str,
    StringConstraints(pattern="^([A-Z][A-Z0-9]|[0-9][A-Z])[0-9]{1,4}$"),
    otherwise("Must be a flight number, such as PY101"),
    Field(examples=["PY101"]),
]
Airport = Annotated[
    str,
    StringConstraints(pattern="^[A-Z]{3}$"),
    otherwise("Must be three capital letters, such as LIS"),
    Field(description="An IATA code.", examples=["LIS"]),
]
Departure = Annotated[
    AwareDatetime,
    AfterValidator(_in_the_future),
    Field(description="With a time zone, in the future.", examples=["2030-01-31T09:30:00Z"]),
]
Seats = Annotated[int, Field(ge=1, le=1000, examples=[100])]


class NewFlight(Schema):
    """The body of POST /flights."""

    flight_number: FlightNumber
    origin: Airport
    destination: Airport = Field(examples=["OSL"])
    departs_at: Departure
    total_seats: Seats

    @model_validator(mode="after")
    def _goes_elsewhere(self) -> Self:
        if self.origin == self.destination:
            raise PydanticCustomError("round_trip", "Origin and destination must differ")
        return self


class FlightUpdate(Schema):
    """The body of PATCH /flights/{flight_id}. Omitted fields keep their values."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    departs_at: Departure | None = None
    total_seats: Seats | None = Field(None, description="At least the number of booked seats.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise PydanticCustomError("nothing", "Must change at least one field")
        return self


class FlightSearch(PageQuery):
    """The query of GET /flights."""

    origin: Airport | None = Field(None, description="The airport of departure, such as LHR.")
    destination: Airport | None = Field(None, description="The airport of arrival.")
    departure: Day | None = Field(None, description="The day on which it departs, in UTC.")


class SeatsForm(Schema):
    """The form that books seats on a flight."""

    seats: int = Field(ge=1, le=100)


class FlightView(View):
    """A flight."""

    flight_id: int = Field(validation_alias="id")
    flight_number: str
    origin: str
    destination: str
    departs_at: datetime
    total_seats: int
    available_seats: int
    created_at: datetime
    updated_at: datetime


class FlightEnvelope(View):
    """One flight."""

    flight: FlightView


class FlightList(Page[FlightView]):
    """A page of flights."""


class Availability(View, alias_generator=None):
    """How many seats are left on a flight."""

    flight_id: int
    available_seats: int
