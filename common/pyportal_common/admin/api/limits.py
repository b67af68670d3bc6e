"""Rate limits: what is defined, what clients have used, and changing both."""

from datetime import datetime

from flask import Blueprint, Response
from pydantic import Field

from ...cache_handlers import keys
from ...operations import LimitOperations, ReadCounts
from ...web import (
    Page,
    PageSize,
    Schema,
    View,
    body,
    current_actor,
    query,
    respond,
    responses,
)
from ..guard import Guard
from .acts import Budget, Changed
from .lists import Text, respond_all
from .paths import one_of
from .problems import all_invalid, refused_for

_MAX_TEXT = 40  # characters; `errors_in` says what is wrong with it


class RateLimitOut(View):
    """A rate limit of the settings, what replaces it, and its decisions since the start."""

    name: str
    rate: str = Field(examples=["120/60"])
    without_redis: str = Field(description="`local`, `open` or `closed`.")
    overrides: list[str]
    allowed: int
    refused: int
    near: int = Field(description="Allowed requests after which less than a fifth was left.")
    would_refuse: int = Field(description="What a shadow limit would have refused.")


class NewRate(Schema):
    """A rate that replaces that of the settings."""

    rate: str = Field(
        max_length=_MAX_TEXT,
        description="Requests/seconds, as in 10/60, or 10/60;shadow to try it.",
        examples=["240/60;shadow"],
    )
    role: str = Field(
        "", max_length=_MAX_TEXT, description="Only for users of this role.", examples=["admin"]
    )


class RoleQuery(Schema):
    """The query of an override."""

    role: str = Field(
        "", max_length=_MAX_TEXT, description="The override for this role, not that for everybody."
    )


class OverrideOut(View):
    """What replaces the rate of the settings."""

    name: str
    role: str = Field(description="Empty if it is for everybody.")
    rate: str
    version: int
    changed_by: str = Field(examples=["user=7"])
    changed_at: datetime


class UsageOut(View):
    """What a client has used of a limit."""

    identifier: Text = Field(examples=[keys.user(7)])
    rate_limit: str
    used: int
    limit: int
    window: int = Field(description="Seconds.")
    reset_after: int = Field(description="Seconds until the limit is unused.")


class NearestSearch(Schema):
    """The query of the clients that are nearest to a limit."""

    limit: PageSize = 50
    budget: Budget = 10_000


def limit_routes(limits: LimitOperations, read_counts: ReadCounts, admin: Guard) -> Blueprint:
    """The routes about rate limits."""
    routes = Blueprint("limits", __name__, url_prefix="/limits")
    _add_rates(routes, limits, read_counts, admin)
    _add_usage(routes, limits, admin)
    return routes


def _add_rates(
    routes: Blueprint, limits: LimitOperations, read_counts: ReadCounts, admin: Guard
) -> None:
    name = one_of((each.name for each in limits.declared), "name")

    @routes.get("")
    @admin
    @responses(Page[RateLimitOut])
    def list_limits() -> Response:
        """List the service's rate limits, what replaces them, and what they refused.

        While SQL does not answer, without what replaces them.
        """
        return respond_all(RateLimitOut, limits.list(read_counts()))

    @routes.put(f"/{name}")
    @admin
    @body(NewRate)
    @responses(OverrideOut, problems=[404])
    def set_limit(name: str, body: NewRate) -> Response:
        """Replace a rate everywhere within two seconds, also for one role.

        `10/60;shadow` tries it: it counts, and refuses nothing.
        """
        errors = limits.errors_in(name, body.rate, body.role)
        if errors:
            raise all_invalid(errors)
        changed = limits.set(current_actor(), name, body.rate, role=body.role)
        return respond(OverrideOut.model_validate(changed))

    @routes.delete(f"/{name}")
    @admin
    @query(RoleQuery)
    @responses(status=204, problems=[404])
    def unset_limit(name: str, query: RoleQuery) -> Response:
        """Return to the rate of the settings, or for a role to that of everybody."""
        with refused_for("role"):
            limits.unset(current_actor(), name, role=query.role)
        return Response(status=204)


def _add_usage(routes: Blueprint, limits: LimitOperations, admin: Guard) -> None:
    @routes.get("/nearest")
    @admin
    @query(NearestSearch)
    @responses(Page[UsageOut])
    def list_nearest(query: NearestSearch) -> Response:
        """List the clients that are nearest to a limit, the nearest first.

        Only a part of a large database is read. There is no next page.
        """
        return respond_all(UsageOut, limits.nearest(limit=query.limit, budget=query.budget))

    @routes.get("/usage/<client:client>")
    @admin
    @responses(Page[UsageOut], problems=[404])
    def show_usage(client: str) -> Response:
        """Show what a client has used of each limit.

        A client is written as in the list of the nearest: `user:7`, `192.0.2.1`, or of IPv6 the
        network, `2001:db8::/64`.
        """
        return respond_all(UsageOut, limits.show(client))

    @routes.delete("/usage/<client:client>")
    @admin
    @responses(Changed, problems=[404])
    def clear_usage(client: str) -> Response:
        """Forget what a client has used of all limits.

        `count` is of how many.
        """
        return respond(Changed(count=limits.clear(current_actor(), client)))
