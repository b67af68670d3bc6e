"""How the service does, for the charts of the console and for programs."""

from datetime import datetime
from typing import Self

from flask import Blueprint, Response
from pydantic import Field

from ...admin_settings import AdminSettings
from ...web import View, respond, responses
from ...web.health import Health
from ..guard import admins_only
from ..overview import Overview, Overviews


class Bucket(View):
    """How many requests took at most as many seconds."""

    le: float | None = Field(description="Seconds. Null: all requests.")
    count: int


class TotalsOut(View):
    """What all processes of the service have counted since they started."""

    requests: int = Field(description="Without those of operators.")
    errors: int = Field(description="Responses with a status of 500 or more.")
    latencies: list[Bucket]
    all_requests: int
    trips: int = Field(description="Round trips to Redis.")
    cache_reads: int
    cache_hits: int
    outages: int = Field(description="Times that a process found Redis unavailable.")


class RecentOut(View):
    """The same as rates. A ratio is null if there was nothing to divide by."""

    seconds: float | None = Field(description="Of the last seconds. Null: since the start.")
    requests: int
    requests_per_second: float | None
    error_ratio: float | None
    p99_seconds: float | None
    hit_ratio: float | None
    trips_per_request: float | None
    outages: int


class JobsNowOut(View):
    """The workers, and the job that has been due for the longest time."""

    workers: int
    silent_workers: int
    oldest_due_kind: str | None
    oldest_due_seconds: float


class OverviewOut(View):
    """How the service does."""

    at: datetime
    health: Health
    totals: TotalsOut
    recent: RecentOut
    jobs: JobsNowOut | None = Field(description="Null while SQL does not answer.")

    @classmethod
    def of(cls, overview: Overview) -> Self:
        """The body for an overview."""
        totals = overview.totals
        latencies = [
            Bucket(le=None if le == float("inf") else le, count=count)
            for le, count in totals.buckets.items()
        ]
        names = TotalsOut.model_fields.keys() - {"latencies"}
        counted = {name: getattr(totals, name) for name in names}
        return cls(
            at=overview.at,
            health=overview.health,
            totals=TotalsOut(latencies=latencies, **counted),
            recent=RecentOut.model_validate(overview.recent),
            jobs=None if overview.jobs is None else JobsNowOut.model_validate(overview.jobs),
        )


def overview_routes(overviews: Overviews, settings: AdminSettings) -> Blueprint:
    """The route that shows the overview."""
    routes = Blueprint("overview", __name__, url_prefix="/api/v1/airliner/admin/overview")

    @routes.get("")
    @admins_only(settings)
    @responses(OverviewOut)
    def show_overview() -> Response:
        """Show how the service does: health, rates of the last minute, totals, workers."""
        return respond(OverviewOut.of(overviews.read()))

    return routes
