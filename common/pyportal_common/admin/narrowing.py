"""Fields of filters: times, and a text in an error. For the admin API and the console."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..fields import is_one_line
from ..operations import moment_of


def _moment(given: object, zone: tzinfo | None, message: str) -> datetime:
    if isinstance(given, str):
        try:
            return moment_of(given, zone=zone)
        except ValueError:
            pass
    raise PydanticCustomError("moment", "{message}", {"message": message})


def _local(given: object) -> datetime:
    return _moment(given, UTC, "Must be a time: 2h, 3d, or 2026-11-26T08:15")


def _zoned(given: object) -> datetime:
    message = "Must be a time with a zone, such as 2026-11-26T08:15:00Z, or how long ago: 2h, 3d"
    return _moment(given, None, message)


def _searchable(text: str) -> str:
    if not text.strip() or not is_one_line(text):
        raise PydanticCustomError("searchable", "Must be a text in one line")
    return text


Moment = Annotated[datetime, BeforeValidator(_local)]
"""A time as operators write it, in UTC without a zone. "2h" becomes a fixed time."""

_DATE_TIME = {"type": "string", "format": "date-time"}
_AGO = {"type": "string", "pattern": "^[0-9]{1,5}[smhd]$"}

ZonedMoment = Annotated[
    datetime, BeforeValidator(_zoned), WithJsonSchema({"anyOf": [_DATE_TIME, _AGO]})
]
"""The same for programs: a time must have a zone."""

ErrorText = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_searchable)
]
"""A text to look for in errors, in any case."""
