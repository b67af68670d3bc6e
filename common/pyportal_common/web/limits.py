"""Rate limits of routes: their declaration, their headers, and the addresses they count."""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from flask import Response, g

from ..cache_handlers import Decision
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
        headers = response.headers
        headers.add("X-RateLimit-Limit", decision.limit)
        headers.add("X-RateLimit-Remaining", decision.remaining)
        headers.add("X-RateLimit-Reset", decision.reset_after)


@lru_cache(maxsize=4096)
def client_network(address: str | None) -> str:
    """The client's IPv4 address, or the /64 network of its IPv6 address.

    A host with one IPv6 address usually has all 2^64 of its network. A port that a proxy added is
    removed. All values that are not addresses count as one client.
    """
    bare = re.sub(r"^\[(.*)\](:\d+)?$|^([\d.]+):\d+$", r"\1\3", address or "")
    try:
        ip = ipaddress.ip_address(bare.split("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
