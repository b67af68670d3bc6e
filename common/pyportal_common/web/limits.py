"""Rate limits on routes: declared by a decorator, spent before the view runs."""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from flask import Flask, Response, g
from pydantic import BeforeValidator

from ..cache_handlers import Decision, OnError, RateLimit
from .declarations import Limit, Route, declare, operation_of
from .problems import rate_limit_response


def rate_limit(
    name: str, *, by: Literal["address", "user"] = "address"
) -> Callable[[Route], Route]:
    """Limit a route by the policy `name` of the service's settings.

    What counts together comes from one address, or with `by` from one user, whose session the
    route has to require. Requests count whatever their outcome, before their body is read; those
    that any of a route's limits refuses count for none. Over the limit: 429. The answers carry
    X-RateLimit-Limit, -Remaining and -Reset (seconds until nothing is used).
    """
    return lambda view: declare(view, limits=(*operation_of(view).limits, Limit(name, by)))


def policy(name: str, *, on_error: OnError = "local") -> BeforeValidator:
    """For a settings field: reads "5/60" as the policy `name`, five in sixty seconds."""

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        return RateLimit.parse(name, value, on_error=on_error)

    return BeforeValidator(parse)


def register_limit_headers(app: Flask) -> None:
    """Tell clients of `app` where they stand with the limit of their request."""

    @app.after_request
    def tell(response: Response) -> Response:
        decision: Decision | None = g.get("rate_limit")
        if decision is not None:
            response.headers["X-RateLimit-Limit"] = str(decision.limit)
            response.headers["X-RateLimit-Remaining"] = str(decision.remaining)
            response.headers["X-RateLimit-Reset"] = str(decision.reset_after)
        return response


def refuse(decision: Decision) -> Response:
    """429 for a limit that a route spent by itself, with the headers of that limit."""
    g.rate_limit = decision
    return rate_limit_response(decision.retry_after)


@lru_cache(maxsize=4096)
def client_network(address: str | None) -> str:
    """Who a client counts as: its IPv4 address, or the /64 network of its IPv6 address.

    Whoever has one IPv6 address has 2^64 of them. A port that a proxy added is left out; all that
    is no address counts as one client.
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
