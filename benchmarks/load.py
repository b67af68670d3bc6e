"""An HTTP client that uses little of the processor: ready-made bytes, raw sockets, one thread."""

import contextlib
import http.client
import re
import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from .figures import median_ratio

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STALLED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one load: the time of each request, and of all, in seconds.

    `client_seconds` is the processor time that this client itself used.
    """

    latencies: list[float]
    seconds: float
    client_seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


def figures_of(runs: Sequence[Run], base: Sequence[Run]) -> list[str]:
    """Cells of a table: requests a second, their ratio to those of `base`, p50 and p99 in ms."""
    rates, base_rates = [run.rate for run in runs], [run.rate for run in base]
    cuts = quantiles([seconds for run in runs for seconds in run.latencies], n=100)
    latencies = [f"{cuts[percentile - 1] * 1000:.1f}" for percentile in (50, 99)]
    return [f"{median(rates):.0f}", f"{median_ratio(rates, base_rates):.2f}", *latencies]


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """The bytes of an HTTP request."""
    if body:
        headers = {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


def load(
    port: int, requests: Iterator[bytes], *, connections: int, seconds: float, status: int = 200
) -> Run:
    """Keep `connections` busy for `seconds`. Ends the program at any status but `status`."""
    began, processor_began = time.perf_counter(), time.process_time()
    latencies: list[float] = []
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(connections):
            connection = _Connection(stack.enter_context(_connect(port)), status)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(requests))
        while selector.get_map():
            ready = selector.select(_STALLED_SECONDS)
            if not ready:
                raise SystemExit(f"There was no response within {_STALLED_SECONDS} s.")
            for key, _ in ready:
                if not key.data.receive():
                    continue
                now = time.perf_counter()
                latencies.append(now - key.data.sent_at)
                if now - began < seconds:
                    key.data.send(next(requests))
                else:
                    selector.unregister(key.fileobj)
    return Run(latencies, time.perf_counter() - began, time.process_time() - processor_began)


def send(port: int, message: bytes) -> tuple[http.client.HTTPResponse, bytes]:
    """Send one request on a new connection. Returns the response and its body."""
    with _connect(port) as connection:
        connection.sendall(message)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response, response.read()


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    status: int
    sent_at: float = 0.0
    received: bytes = field(default=b"")

    def send(self, message: bytes) -> None:
        self.received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(message)

    def receive(self) -> bool:
        """Whether the response is complete. Ends the program at an unexpected status."""
        received = self.socket.recv(65536)
        self.received += received
        head, end, body = self.received.partition(b"\r\n\r\n")
        if received and not end:
            return False
        if not head.startswith(f"HTTP/1.1 {self.status} ".encode()):
            raise SystemExit(f"A response begins {head[:200]!r}; expected status {self.status}.")
        length = _LENGTH.search(head)
        return length is not None and len(body) >= int(length[1])


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=_STALLED_SECONDS)
