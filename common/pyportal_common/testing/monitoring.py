"""What a Redis server runs while a test calls something."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..redis_server import RedisServer

_THE_END = "the-calls-have-ended"
_TIMEOUT_SECONDS = 30


@dataclass
class Commands:
    """The commands that a server has run, as MONITOR reports them."""

    lines: list[str] = field(default_factory=list)

    @property
    def of_clients(self) -> list[str]:
        """Those that clients have sent, not scripts."""
        return [line for line in self.lines if " lua] " not in line]


@contextmanager
def monitored(server: RedisServer) -> Iterator[Commands]:
    """Yields what the server runs during the block. It is complete after the block."""
    commands = Commands()
    with _connected(server) as monitor:
        lines = monitor.makefile("r", encoding="utf-8", errors="replace")
        monitor.sendall(b"MONITOR\r\n")
        lines.readline()  # it has begun
        yield commands
        with _connected(server) as other:
            other.sendall(f"ECHO {_THE_END}\r\n".encode())
            commands.lines += iter(lambda: _next_line(lines.readline), "")


def _next_line(read: Callable[[], str]) -> str:
    line = read()
    return "" if _THE_END in line else line


def _connected(server: RedisServer) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=_TIMEOUT_SECONDS)
    if not server.url.startswith("rediss"):
        return plain
    context = ssl.create_default_context(cafile=os.environ["REDIS_TLS_CA_FILE"])
    return context.wrap_socket(plain, server_hostname="127.0.0.1")
