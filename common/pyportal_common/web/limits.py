"""Rate limits of routes: their declaration and their headers."""

from collections.abc import Callable
from typing import Literal

from flask import Response, g

from ..cache_handlers import Decision
from ..extension import limit_headers
from .declarations import LimitSpec, Route, declare, operation_of


def rate_limit(
    name: str, *, by: Literal["address", "user"] = "address"
) -> Callable[[Route], Route]:
    """Limit a route by the `RateLimit` of that name in the service's settings.

    Counts the requests of each address, or with `by="user"` of each user; the route must then
    require a session. A request counts whatever its outcome, before its body is read. A request
    that one of the route's limits refuses counts for none of them. Over the limit: 429. Responses
    have X-RateLimit-Limit, -Remaining and -Reset (seconds until the limit is unused).

    Registering the route raises UnknownRateLimit if the settings do not define the limit, and
    UserLimitWithoutLogin if it counts users and the route does not require a session.
    """
    return lambda view: declare(view, limits=(*operation_of(view).limits, LimitSpec(name, by)))


def add_limit_headers(response: Response) -> None:
    """Send the state of the limit that the request is closest to."""
    decision: Decision | None = g.get("rate_limit")
    if decision is not None:
        for name, value in limit_headers(decision, (), "x"):
            response.headers.add(name, value)
