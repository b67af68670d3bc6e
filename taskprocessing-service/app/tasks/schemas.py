"""What clients send and get, in camelCase; the guide has the availability in snake_case."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.jobs import Priority
from common.pyportal_common.web import Schema, View

from .task_types import TASK_TYPES

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]

_Cursor = Annotated[str, StringConstraints(pattern="^[1-9][0-9]{0,17}$")]


def _known(task_type: str) -> str:
    if task_type not in TASK_TYPES:
        known = ", ".join(known.name for known in TASK_TYPES)
        raise PydanticCustomError("task_type", "must be one of: {known}", {"known": known})
    return task_type


def _one_of_each(schema: dict[str, Any]) -> None:
    """Tell in the description which parameters go with which type."""
    schema["oneOf"] = [
        {
            "title": known.name,
            "properties": {
                "taskType": {"const": known.name},
                "parameters": known.parameters.model_json_schema(),
            },
        }
        for known in TASK_TYPES
    ]


class NewTask(Schema):
    """The body of POST /tasks."""

    model_config = ConfigDict(json_schema_extra=_one_of_each)

    task_type: Annotated[str, AfterValidator(_known)] = Field(examples=["flight_booking"])
    parameters: dict[str, Any] = Field(examples=[{"flightId": 1, "seats": 2}])
    priority: Priority = "normal"

    @field_validator("parameters")
    @classmethod
    def _of_its_type(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        task_type = info.data.get("task_type")
        if task_type is None:  # unknown: that is told already
            return given
        parameters = TASK_TYPES[task_type].parameters.model_validate_json(json.dumps(given))
        stored: dict[str, Any] = parameters.model_dump(mode="json", by_alias=True)
        return stored


class TaskSearch(Schema):
    """The query of GET /tasks."""

    status: Status | None = None
    cursor: _Cursor | None = Field(None, description="The `next` of the page before.")


class TaskView(View):
    """A task as its user sees it."""

    task_id: int = Field(validation_alias="id")
    task_reference: str = Field(validation_alias="reference")
    user_id: int
    task_type: str
    status: Status
    progress: int = Field(description="In percent.")
    priority: Priority
    parameters: dict[str, Any]
    details: dict[str, Any] = Field(description="What came of it.")
    error: str | None = Field(description="Why it failed, or has to be tried again.")
    attempts: int
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


class TaskEnvelope(View):
    """One task."""

    task: TaskView


class TaskList(View):
    """A page of tasks, the newest first."""

    items: list[TaskView]
    next: str | None = Field(description="The cursor of the next page, null on the last.")


FlightNumber = Annotated[
    str,
    StringConstraints(pattern="^([A-Z][A-Z0-9]|[0-9][A-Z])[0-9]{1,4}$"),
    Field(examples=["PY101"]),
]
Airport = Annotated[
    str,
    StringConstraints(pattern="^[A-Z]{3}$"),
    Field(description="An IATA code.", examples=["LIS"]),
]
Seats = Annotated[int, Field(ge=1, le=1000, examples=[100])]


_END = datetime(3000, 1, 1, tzinfo=UTC)


def _in_the_future(moment: datetime) -> datetime:
    if not datetime.now(UTC) < moment < _END:
        raise PydanticCustomError("future", "must be in the future, before the year 3000")
    return moment.astimezone(UTC).replace(microsecond=0)


Departure = Annotated[
    AwareDatetime,
    AfterValidator(_in_the_future),
    Field(description="With a time zone, in the future.", examples=["2030-01-31T09:30:00Z"]),
]


class NewFlight(Schema):
    """The body of POST /flights."""

    flight_number: FlightNumber
    origin: Airport
    destination: Airport = Field(examples=["OSL"])
    departs_at: Departure
    total_seats: Seats

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if self.origin == self.destination:
            raise PydanticCustomError("round_trip", "origin and destination must differ")
        return self


class FlightUpdate(Schema):
    """The body of PATCH /flights/{flight_id}: what it names is changed."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    departs_at: Departure | None = None
    total_seats: Seats | None = Field(None, description="At least as many as are booked.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise PydanticCustomError("nothing", "names nothing to change")
        return self


class FlightSearch(Schema):
    """The query of GET /flights."""

    origin: Airport | None = None
    destination: Airport | None = None
    cursor: _Cursor | None = Field(None, description="The `next` of the page before.")


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


class FlightList(View):
    """A page of flights."""

    items: list[FlightView]
    next: str | None = Field(description="The cursor of the next page, null on the last.")


class Availability(View, alias_generator=None):
    """How many seats are left on a flight."""

    flight_id: int
    available_seats: int
