"""HTTP requests to other hosts, bounded in time, bytes and addresses, and circuit breakers."""

from ..extras import requires

with requires("jobs"):
    from .breakers import CircuitBreakers, CircuitOpen
    from .http import Address, AddressRefused, HttpResponse, RequestFailed, is_public, request

__all__ = [
    "Address",
    "AddressRefused",
    "CircuitBreakers",
    "CircuitOpen",
    "HttpResponse",
    "RequestFailed",
    "is_public",
    "request",
]
