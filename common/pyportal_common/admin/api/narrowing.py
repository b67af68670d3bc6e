"""Filters by time and by the text of an error, as fields of queries and bodies."""

from pydantic import Field

from ...web import Schema
from ..narrowing import ErrorText, ZonedMoment


class Timed(Schema):
    """What happened in a time."""

    since: ZonedMoment | None = Field(
        None, description="From this time on: with a zone, or how long ago, such as 2h."
    )
    until: ZonedMoment | None = Field(None, description="Before this time, written likewise.")


class Narrowing(Timed):
    """What was created in a time, with a text in its error."""

    error: ErrorText | None = Field(
        None, description="Only with this text in the error, in any case.", examples=["timed out"]
    )
