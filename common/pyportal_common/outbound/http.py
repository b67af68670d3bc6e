"""HTTP requests to other hosts, bounded in time, bytes and addresses."""

import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore

from ..spans import traceparent

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Allowed = Callable[[Address], bool]

_MAX_RESPONSE_BYTES = 256 * 1024  # with the headers
_MAX_BODY_BYTES = 16 * 1024  # of a response; the rest is not read
_CONNECT_SECONDS = 5.0  # for each address of a host
_HEADER_NAME = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"|[!-~](?:[\t -~]*[!-~])?")
_SCHEMES = frozenset({b"http", b"https"})

# The IPv6 addresses that are assigned to hosts. Others represent IPv4 addresses in many ways.
_ASSIGNED_IPV6 = ipaddress.ip_network("2000::/3")
# `is_global` is true for these in some versions of Python: addresses that relays translate, those
# of protocols, and the metadata services of two clouds, which give machines their credentials.
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in ("2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
]


class RequestFailed(Exception):
    """There was no valid response in time, for the reason in the message."""


class AddressRefused(RequestFailed):
    """The host is at an address that is not allowed."""


@dataclass(frozen=True)
class HttpResponse:
    """A response. Header names are in lower case; the body may be truncated: see `request`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body, parsed. Raises ValueError if it is not JSON."""
        return json.loads(self.body)


def is_public(address: Address) -> bool:
    """Whether an address is on the public Internet and does not represent another address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _ASSIGNED_IPV6:
            return False
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_seconds: float = 10.0,
    allowed: Allowed = lambda _: True,
    max_body_bytes: int = _MAX_BODY_BYTES,
) -> HttpResponse:
    """Send a request on a new connection, and read the response. No redirects, no proxies.

    The host is resolved once, and `allowed` must accept all its addresses; then these addresses are
    tried in order. So a name that resolves differently a moment later (DNS rebinding) cannot bypass
    the check. The request takes at most `timeout_seconds` from the first packet on, however slowly
    the server reads and sends; resolving the name takes as long as the system's resolver allows.
    The body of the response is truncated at `max_body_bytes`, 16 KiB.
    The request has the `traceparent` of the current span.
    Raises RequestFailed or its subclass AddressRefused.
    """
    try:
        target = _target(url)
        host = urlsplit(url).netloc.rpartition("@")[2]
        sent = {"Host": host, "Connection": "close", **_trace_headers(), **(headers or {})}
        backend = _Backend(time.monotonic() + timeout_seconds, allowed)
        connection = httpcore.HTTPConnection(
            target.origin, ssl_context=tls_context(), network_backend=backend
        )
        with (
            connection,
            connection.stream(method, target, headers=_ascii(sent), content=body) as response,
        ):
            return _read(response, max_body_bytes)
    except (httpcore.TimeoutException, TimeoutError):
        raise RequestFailed(f"no answer within {timeout_seconds:g} seconds") from None
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        OSError,
        ValueError,
    ) as error:
        raise RequestFailed(_reason(error)) from None


def _target(url: str) -> httpcore.URL:
    """The parsed URL. Raises ValueError if it is not a valid HTTP URL."""
    if " " in url or not url.isprintable():
        raise ValueError("a URL cannot contain spaces or line breaks")
    target = httpcore.URL(url.encode("ascii"))
    if target.scheme not in _SCHEMES or not target.host:
        raise ValueError("not an http:// or https:// URL with a host")
    return target


def _trace_headers() -> dict[str, str]:
    found = traceparent()
    return {} if found is None else {"traceparent": found}


def _ascii(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers. The message of a ValueError has no value, which may be a secret."""
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise ValueError(f"the header {name[:100]!r} cannot be sent")
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _read(response: httpcore.Response, max_body_bytes: int) -> HttpResponse:
    body = b""
    for chunk in response.iter_stream():
        body += chunk
        if len(body) >= max_body_bytes:
            break
    names = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    return HttpResponse(response.status, names, body[:max_body_bytes])


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]


@cache
def tls_context() -> ssl.SSLContext:
    """The certificates that are trusted, read once per process."""
    return ssl.create_default_context()


class _Backend(httpcore.NetworkBackend):
    """Connects only to allowed addresses, before a deadline."""

    def __init__(self, deadline: float, allowed: Allowed) -> None:
        self._deadline = deadline
        self._allowed = allowed
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the deadline applies
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address,
                    port,
                    timeout=min(_CONNECT_SECONDS, _left(self._deadline)),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if address == addresses[-1]:
                    raise
            else:
                return _Stream(stream, self._deadline)
        raise httpcore.ConnectError("the host has no address")

    def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host. Raises AddressRefused unless all of them are allowed."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise RequestFailed(f"{host[:100]} cannot be found") from error
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        for address in addresses:
            if not self._allowed(ipaddress.ip_address(address)):
                raise AddressRefused(f"{host[:100]} is at an address that is not allowed")
        return addresses


class _Stream(httpcore.NetworkStream):
    """A connection that fails after the deadline, and after too many bytes."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self._bytes_left = _MAX_RESPONSE_BYTES

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        data = self._stream.read(max_bytes, _left(self._deadline))
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise httpcore.ReadError("the response is too long")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        # Not by the stream's own `write`, which applies the timeout to each part.
        connection: socket.socket = self._stream.get_extra_info("socket")
        rest = memoryview(buffer)
        try:
            while rest:
                connection.settimeout(_left(self._deadline))
                rest = rest[connection.send(rest) :]
        except TimeoutError:
            raise
        except OSError as error:  # the response may have arrived nevertheless
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
