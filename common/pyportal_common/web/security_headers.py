"""Headers that limit what browsers do with a response, whatever it is."""

from flask import Response

_OF_EVERY_RESPONSE = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
# A year, which browsers take from responses over TLS only.
_STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")


class SecurityHeaders:
    """The headers of a service; over TLS only, if its `public_url` is https."""

    def __init__(self, public_url: str) -> None:
        is_https = public_url.startswith("https:")
        self._headers = (*_OF_EVERY_RESPONSE, *([_STRICT_TRANSPORT] if is_https else []))

    def complete(self, response: Response) -> None:
        """Add those that the response has not: pages have a policy of their own."""
        for name, value in self._headers:
            response.headers.setdefault(name, value)
