"""An HTTP client that uses little of the processor: ready-made bytes, raw sockets, one thread."""

import http.client
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

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


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """The bytes of an HTTP request."""
    if body:
        headers = {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


def load(
    ports: int | Sequence[int],
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float,
    status: int = 200,
    rate: float | None = None,
) -> Run:
    """Send requests for `seconds`. Ends the program at any status but `status`.

    Without `rate` every connection is kept busy. With it so many requests a second are due, at
    equal intervals, whatever the server does: a latency begins when its request was due, so the
    wait for a free connection counts. The connections are shared out among several `ports`.
    """
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.SelectSelector())  # its time-outs are precise
        idle: deque[_Connection] = deque()
        for number in range(connections):
            port = ports if isinstance(ports, int) else ports[number % len(ports)]
            connection = _Connection(stack.enter_context(_connect(port)), status)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            idle.append(connection)
        processor_began, began = time.process_time(), time.perf_counter()
        latencies = _drive(selector, idle, requests, began, began + seconds, rate)
        ended, processor_ended = time.perf_counter(), time.process_time()
    return Run(latencies, ended - began, processor_ended - processor_began)


def _drive(
    selector: selectors.BaseSelector,
    idle: "deque[_Connection]",
    requests: Iterator[bytes],
    due: float,
    end: float,
    rate: float | None,
) -> list[float]:
    latencies: list[float] = []
    connections, began, sent = len(idle), due, 0
    while True:
        now = time.perf_counter()
        if rate is None:
            due = now
        while idle and due <= now and due < end:
            # The one that was idle for longest: all processes of the server get some.
            idle.popleft().send(next(requests), due)
            sent += 1
            if rate is not None:
                due = began + sent / rate  # without the rounding errors of a sum
        if due >= end and len(idle) == connections:
            return latencies
        wait = max(0.0, due - now) if idle and due < end else _STALLED_SECONDS
        ready = selector.select(wait)
        if not ready and wait == _STALLED_SECONDS:
            raise SystemExit(f"There was no response within {_STALLED_SECONDS} s.")
        for key, _ in ready:
            if key.data.receive():
                latencies.append(time.perf_counter() - key.data.began)
                idle.append(key.data)


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
    began: float = 0.0
    received: bytes = field(default=b"")

    def send(self, message: bytes, began: float) -> None:
        self.received = b""
        self.began = began
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
