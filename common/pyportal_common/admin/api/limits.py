"""Rate limits: what is defined."""

from flask import Blueprint, Response

from ...admin_settings import AdminSettings
from ...operations import LimitOperations
from ...web import Page, View, respond, responses
from ..guard import admins_only


class RateLimitOut(View):
    """A rate limit of the settings, and what replaces it."""

    name: str
    rate: str
    without_redis: str
    overrides: list[str]


def limit_routes(limits: LimitOperations, settings: AdminSettings) -> Blueprint:
    """The routes about rate limits."""
    routes = Blueprint("limits", __name__, url_prefix="/limits")
    admin = admins_only(settings)

    @routes.get("")
    @admin
    @responses(Page[RateLimitOut])
    def list_limits() -> Response:
        """List the service's rate limits."""
        items = [RateLimitOut.model_validate(each) for each in limits.list()]
        return respond(Page[RateLimitOut](items=items))

    return routes
