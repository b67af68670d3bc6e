"""CORS: the pages of other origins that may call the service and read its responses."""

from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Request, Response

_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": (
        "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, "
        "X-Request-ID"
    ),
    "Access-Control-Max-Age": "7200",  # seconds; Chromium keeps it no longer
}
_EXPOSED = (
    "Allow, Content-Disposition, ETag, Idempotency-Replayed, Idempotent-Replayed, Link, Location, "
    "Preference-Applied, Retry-After, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, "
    "X-RateLimit-Reset, X-Request-ID"
)


class Cors:
    """Lets pages of `origins` call the service: exactly these, as browsers send them in Origin.

    Pages of the same site may send the session cookie, others a bearer token only: browsers do not
    send them a cookie with SameSite=Lax. An origin is of the same site if the browser says so in
    Sec-Fetch-Site, or if it has the scheme and the host of the request.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def preflight(self, request: Request) -> Response | None:
        """The response to a preflight request from one of the origins; None for other requests."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        if request.headers.get("Origin") not in self._origins:
            return None
        return Response(status=204, headers=_HEADERS)

    def complete(self, request: Request, response: Response) -> None:
        """Add to every response, also to errors, whether the page may read it."""
        if not self._origins:
            return
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin not in self._origins:
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        if _is_same_site(request, origin):
            response.headers["Access-Control-Allow-Credentials"] = "true"


def _is_same_site(request: Request, origin: str) -> bool:
    if request.headers.get("Sec-Fetch-Site") == "same-site":
        return True
    page, service = urlsplit(origin), urlsplit(request.host_url)
    return (page.scheme, page.hostname) == (service.scheme, service.hostname)
