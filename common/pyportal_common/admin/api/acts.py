"""Acts on many rows, a bounded number in each request."""

from typing import Annotated

from flask import Response
from pydantic import Field

from ...fields import Id
from ...operations import BulkAct
from ...web import Schema, View, current_actor, respond

MOST_CHANGED = 1000  # by one request

Ids = Annotated[list[Id], Field(min_length=1, max_length=1000)]
Budget = Annotated[
    int,
    Field(ge=1, le=100_000, description="How many keys are read, at most about that many."),
]


class ActBody(Schema):
    """Base of the bodies of acts."""

    all: bool = Field(False, description="Without a filter this must be true.")
    dry_run: bool = Field(False, description="Only count.")


class ActOut(View):
    """What an act has changed."""

    count: int = Field(description="How many were changed; with `dryRun`, how many would be.")
    left: int = Field(description="How many more met the filter: repeat the request for them.")
    dry_run: bool


class Changed(View):
    """How many an act has changed."""

    count: int | None = Field(description="Null if that is not known.")


def respond_act(act: BulkAct, body: ActBody) -> Response:
    """Count what meets the filter, and change up to 1,000 of it, unless that is a `dryRun`."""
    found = act.count()
    if body.dry_run:
        changed = min(found, MOST_CHANGED)
    else:
        changed = act.run(current_actor(), at_most=MOST_CHANGED)
    left = max(0, found - changed)
    return respond(ActOut(count=changed, left=left, dry_run=body.dry_run))
