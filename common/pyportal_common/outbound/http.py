"""HTTP requests to others, bounded in every way: time, bytes, and where they go."""

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Allowed = Callable[[Address], bool]

_MOST_BYTES = 256 * 1024  # of an answer, with its headers
_KEPT_BYTES = 16 * 1024  # of its body
_CONNECT_SECONDS = 5.0  # for each address of a host
_SCHEMES = frozenset({b"http", b"https"})

# What is given out to hosts. Beside it are addresses that stand for IPv4 ones, in many ways.
_IPV6 = ipaddress.ip_network("2000::/3")
# What `is_global` lets pass, in this version of Python or another: addresses that relays translate,
# those of protocols, and where two clouds tell each of their machines its secrets.
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in ("2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
]


class RequestFailed(Exception):
    """There was no answer, or none that could be read in time. The message says why."""


class AddressRefused(RequestFailed):
    """The host is at an address that requests may not go to."""


@dataclass(frozen=True)
class HttpResponse:
    """What came back. Header names are in lower case; the body may be cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body, decoded. ValueError for what is no JSON."""
        return json.loads(self.body)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open Internet, and no detour to another."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _IPV6:
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
) -> HttpResponse:
    """Send a request on a connection of its own, and read the answer. No redirects, no proxies.

    The host is resolved once, and its very addresses connected to, one after the other, if
    `allowed` says so of all: a name that leads elsewhere a moment later gains nobody anything. All
    of it takes at most `timeout_seconds` from the first packet on, however slowly the other side
    reads and sends; resolving the name takes as long as the system's resolver gives it. Raises
    RequestFailed and AddressRefused.
    """
    try:
        target = _target(url)
        sent = {"Host": _host_of(url), "Connection": "close", **(headers or {})}
        backend = _Backend(time.monotonic() + timeout_seconds, allowed)
        connection = httpcore.HTTPConnection(
            target.origin, ssl_context=_tls(), network_backend=backend
        )
        with (
            connection,
            connection.stream(method, target, headers=_ascii(sent), content=body) as response,
        ):
            return _answer(response)
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
    """Where it leads. ValueError for what is no URL, or one of another kind."""
    if " " in url or not url.isprintable():
        raise ValueError("a URL has no spaces and line breaks")
    target = httpcore.URL(url.encode("ascii"))
    if target.scheme not in _SCHEMES or not target.host:
        raise ValueError("it is no http:// or https:// URL with a host")
    return target


def _ascii(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _answer(response: httpcore.Response) -> HttpResponse:
    kept = b""
    for chunk in response.iter_stream():
        kept += chunk
        if len(kept) >= _KEPT_BYTES:
            break  # the status is what counts: nobody waits for the rest
    names = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    return HttpResponse(response.status, names, kept[:_KEPT_BYTES])


def _host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that are allowed, until a deadline."""

    def __init__(self, deadline: float, allowed: Allowed) -> None:
        self._deadline = deadline
        self._allowed = allowed
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the deadline is the bound
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
        raise httpcore.ConnectError("it has no address")

    def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host. Raises AddressRefused if any of them is not allowed."""
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
    """A connection that ends at the deadline, and after too many bytes."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self._bytes_left = _MOST_BYTES

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        data = self._stream.read(max_bytes, _left(self._deadline))
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise httpcore.ReadError("the answer is too long")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        # Not by the stream's own `write`, which gives each of the parts all of the time.
        connection: socket.socket = self._stream.get_extra_info("socket")
        rest = memoryview(buffer)
        try:
            while rest:
                connection.settimeout(_left(self._deadline))
                rest = rest[connection.send(rest) :]
        except TimeoutError:
            raise
        except OSError as error:  # the answer may be there all the same
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
