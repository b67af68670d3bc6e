"""Rate limits on routes: declared by a decorator, spent before the view runs."""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from flask import Flask, Response, g

from ..cache_handlers import Decision
from .declarations import LimitSpec, Route, declare, operation_of


def rate_limit(
    name: str, *, by: Literal["address", "user"] = "address"
) -> Callable[[Route], Route]:
    """Limit a route by the `RateLimit` of that name in the service's settings.

    Requests from one address count together, or with `by="user"` those of one user; the route then
    has to require a session. Requests count whatever their outcome, before their body is read; a
    request that one of a route's limits refuses counts for none of them. Over the limit: 429.
    Responses carry X-RateLimit-Limit, -Remaining and -Reset (seconds until nothing is used).

    Registering a route whose limit the settings lack raises UnknownRateLimit.
    """
    return lambda view: declare(view, limits=(*operation_of(view).limits, LimitSpec(name, by)))


def register_limit_headers(app: Flask) -> None:
    """Send the state of the limit that a request of `app` is closest to."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        decision: Decision | None = g.get("rate_limit")
        if decision is not None:
            response.headers["X-RateLimit-Limit"] = str(decision.limit)
            response.headers["X-RateLimit-Remaining"] = str(decision.remaining)
            response.headers["X-RateLimit-Reset"] = str(decision.reset_after)
        return response


@lru_cache(maxsize=4096)
def client_network(address: str | None) -> str:
    """What identifies a client: its IPv4 address, or the /64 network of its IPv6 address.

    Anyone with one IPv6 address has 2^64 of them. A port added by a proxy is dropped; everything
    that is not an address counts as one client.
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
