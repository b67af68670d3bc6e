"""A client that leaves the cores to the servers: ready-made requests, raw sockets, one thread."""

import contextlib
import http.client
import re
import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STALLED = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Run:
    """What a load came to: the time of each request, and of all, in seconds.

    `client_seconds` is the processor's time that this client took itself.
    """

    latencies: list[float]
    seconds: float
    client_seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """An HTTP request, as it is sent."""
    if body:
        headers = {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


def load(
    port: int, requests: Iterator[bytes], *, connections: int, seconds: float, status: int = 200
) -> Run:
    """Keep that many connections busy for that long. Ends the program at any other status."""
    began, worked = time.perf_counter(), time.process_time()
    latencies: list[float] = []
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(connections):
            connection = _Connection(stack.enter_context(_connect(port)), status)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(requests))
        while selector.get_map():
            ready = selector.select(_STALLED)
            if not ready:
                raise SystemExit(f"no answer within {_STALLED} s")
            for key, _ in ready:
                if not key.data.receive():
                    continue
                now = time.perf_counter()
                latencies.append(now - key.data.sent_at)
                if now - began < seconds:
                    key.data.send(next(requests))
                else:
                    selector.unregister(key.fileobj)
    return Run(latencies, time.perf_counter() - began, time.process_time() - worked)


def ask(port: int, message: bytes) -> tuple[http.client.HTTPResponse, bytes]:
    """Send a request on a connection of its own; the answer and its body."""
    with _connect(port) as connection:
        connection.sendall(message)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer, answer.read()


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
        """Whether the answer is complete. Ends the program when it is not the expected one."""
        some = self.socket.recv(65536)
        self.received += some
        head, end, body = self.received.partition(b"\r\n\r\n")
        if some and not end:
            return False
        if not head.startswith(f"HTTP/1.1 {self.status} ".encode()):
            raise SystemExit(f"an answer begins {head[:200]!r}, and not with {self.status}")
        length = _LENGTH.search(head)
        return length is not None and len(body) >= int(length[1])


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=_STALLED)
