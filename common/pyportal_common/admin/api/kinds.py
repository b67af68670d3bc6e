"""The kinds of jobs and the schedules: their numbers, and what is paused."""

from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field, StringConstraints

from ...operations import KindOperations
from ...web import Page, Schema, View, body, current_actor, respond, responses
from ..guard import Guard
from .lists import respond_all
from .paths import one_of


class PauseOut(View):
    """A paused kind of job, or a paused schedule."""

    kind: str
    paused_at: datetime
    paused_by: str = Field(examples=["user=7"])
    reason: str


class KindStatsOut(View):
    """The numbers of a kind of job. At most 10,000 of each are counted."""

    kind: str
    waiting: int
    running: int
    failed: int
    late_seconds: float = Field(description="For how long the oldest waiting job has been due.")
    paused: PauseOut | None


class PauseIn(Schema):
    """Why a kind is paused."""

    reason: Annotated[str, StringConstraints(max_length=500)] = Field(
        "", examples=["The airline is down"]
    )


class ScheduleOut(View):
    """A schedule, its last tick and its next one."""

    name: str
    expression: str = Field(examples=["*/5 * * * *"])
    zone: str
    last: datetime | None
    status: str | None = Field(description="Of the last tick.")
    attempts: int | None
    error: str | None
    next: datetime
    paused: bool


def kind_routes(kinds: KindOperations, admin: Guard) -> Blueprint:
    """The routes about kinds of jobs, pauses and schedules."""
    routes = Blueprint("kinds", __name__)
    kind = one_of(kinds.pausable, "kind")

    @routes.get("/jobs")
    @admin
    @responses(Page[KindStatsOut])
    def count_jobs() -> Response:
        """Count the waiting, running and failed jobs of each kind."""
        return respond_all(KindStatsOut, kinds.stats())

    @routes.get("/schedules")
    @admin
    @responses(Page[ScheduleOut])
    def list_schedules() -> Response:
        """List the schedules: last tick, outcome, next tick."""
        return respond_all(ScheduleOut, kinds.schedules())

    @routes.get("/pauses")
    @admin
    @responses(Page[PauseOut])
    def list_pauses() -> Response:
        """List what is paused."""
        return respond_all(PauseOut, kinds.pauses())

    @routes.get(f"/pauses/{kind}")
    @admin
    @responses(PauseOut, problems=[404])
    def show_pause(kind: str) -> Response:
        """Show why a kind is paused: 404 if it is not."""
        return respond(PauseOut.model_validate(kinds.find_pause(kind)))

    @routes.put(f"/pauses/{kind}")
    @admin
    @body(PauseIn)
    @responses(PauseOut, problems=[404])
    def pause_kind(kind: str, body: PauseIn) -> Response:
        """Start no more jobs of a kind, or ticks of a schedule.

        From the next second on. Those that run finish.
        """
        kinds.pause(current_actor(), kind, reason=body.reason)
        return respond(PauseOut.model_validate(kinds.find_pause(kind)))

    @routes.delete(f"/pauses/{kind}")
    @admin
    @responses(status=204, problems=[404])
    def resume_kind(kind: str) -> Response:
        """Start jobs of a kind again: 404 if it is not paused."""
        kinds.resume(current_actor(), kind)
        return Response(status=204)

    return routes
