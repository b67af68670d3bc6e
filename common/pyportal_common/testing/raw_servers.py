"""Servers for tests of clients, whose responses the test defines byte by byte."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable

UNUSED_PORT = 1
"""Where nothing listens: `free_port` may name what a test beside this one gives to a server."""


class Conversation:
    """A connection, from the server's side."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self._connection = connection
        self._over = over

    def hear(self) -> bytes:
        """Read a request with its body, or as much of it as arrives."""
        received = b""
        while b"\r\n\r\n" not in received and (data := self._connection.recv(65536)):
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        while len(body) < _length_of(head) and (data := self._connection.recv(65536)):
            body += data
        return head + b"\r\n\r\n" + body

    def hear_line(self) -> bytes:
        """Read up to a line break, and nothing after it."""
        line = b""
        while not line.endswith(b"\n") and (data := self._connection.recv(1)):
            line += data
        return line

    def say(self, data: bytes) -> None:
        """Send. Raises OSError once the client has closed the connection."""
        self._connection.sendall(data)

    def say_slowly(self, data: Iterable[bytes], every: float) -> None:
        """Send piece by piece, one `every` so many seconds, until the test is over."""
        for piece in data:
            self.say(piece)
            if self._over.wait(every):
                return

    def read_slowly(self, size: int, every: float) -> None:
        """Read at most `size` bytes `every` so many seconds, until the test is over."""
        while self._connection.recv(size) and not self._over.wait(every):
            pass

    def wait(self) -> None:
        """Send nothing until the test is over."""
        self._over.wait()

    def reset(self) -> None:
        """Reset the connection (RST)."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()


class RawServer:
    """Accepts connections on 127.0.0.1, and calls `talk` for each in a new thread."""

    def __init__(
        self, talk: Callable[[Conversation], None], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.met = 0  # clients so far
        self._talk = talk
        self._tls = tls
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The server's URL, with the path /."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/"

    def close(self) -> None:
        """End all conversations and close the port."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.met += 1
                thread = threading.Thread(target=self._converse, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._tls is None:
                self._talk(Conversation(connection, self._over))
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                self._talk(Conversation(secured, self._over))


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
