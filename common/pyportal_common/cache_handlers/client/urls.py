"""Which URLs of Redis can be used. Messages never contain a part of the URL: it has a password."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.connection import parse_url

from .sentinel_addresses import SentinelUrl, require_host
from .tls import URL_OPTIONS

_OPTIONS = URL_OPTIONS | {
    "db", "username", "password", "client_name", "protocol", "decode_responses",
    "socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval",
    "max_connections", "timeout", "retry_on_timeout",
}  # fmt: skip
"""Those of redis-py that are text or numbers. The layer sets most of them itself."""

_NUMBERS = {"2", "3"}


def require_usable(url: str) -> None:
    """Raise ValueError if it is not the URL of a server, or of one that sentinels name."""
    by_sentinels = SentinelUrl.parse(url)
    plain = by_sentinels.plain if by_sentinels is not None else url
    options = _parsed(plain)
    if options.get("ssl_cert_reqs", "required") != "required":
        raise ValueError(
            "ssl_cert_reqs must be required: the server's certificate is always verified."
            " Set REDIS_TLS_CA_FILE to the authority that signed it"
        )
    if "host" in options:
        require_host(options["host"])


def _parsed(url: str) -> Mapping[str, Any]:
    """The options of redis-py in a URL."""
    if url.partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise ValueError(
            "must be a redis://, rediss:// or unix:// URL, or a redis+sentinel:// or"
            " rediss+sentinel:// one"
        )
    try:
        parts = urlsplit(url)
        options: Mapping[str, Any] = parse_url(url)
    except ValueError:
        raise ValueError(
            "cannot be read. Special characters in a password must be percent-encoded, as %23"
            " for # and %3F for ?, and a port and options must have valid values"
        ) from None
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not (database.isascii() and database.isdigit()):
        raise ValueError("the database after the host must be a number, as in redis://host:6379/0")
    given = parse_qs(parts.query, keep_blank_values=True)
    if given.keys() - _OPTIONS:
        raise ValueError("has an unknown option after the question mark")
    if not set(given.get("protocol", ())) <= _NUMBERS:
        raise ValueError("protocol must be 2 or 3")
    if parts.fragment or "#" in url:
        raise ValueError("a # in a password must be %23")
    return options
