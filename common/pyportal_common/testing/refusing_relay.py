"""A relay to a Redis server that answers commands with an error in the server's place."""

import contextlib
import socket
import threading
from collections.abc import Collection
from typing import BinaryIO


class RefusingRelay:
    """Relays to a Redis server on 127.0.0.1, command by command.

    While `error` is set, it is the answer to the `commands`, or to all if there are none, and the
    server does not see them. `error` is the text after the minus sign, as in "OOM out of memory".
    """

    def __init__(self, server_port: int) -> None:
        self.error: str | None = None
        self.commands: Collection[str] = ()
        self._server_port = server_port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The redis:// URL without a database."""
        return f"redis://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Close every connection and the port."""
        _shut_down(self._listener)
        self._threads[0].join()  # from here on there are no more connections
        for each in self._sockets:
            _shut_down(each)
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._sockets]:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [near, far]
                thread = threading.Thread(target=self._relay, args=(near, far), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), near, far:
            commands, replies = near.makefile("rb"), far.makefile("rb")
            while True:
                command = _message(commands)
                answer = self._answer(command)
                if answer is None:
                    far.sendall(command)
                    answer = _message(replies)
                near.sendall(answer)

    def _answer(self, command: bytes) -> bytes | None:
        error = self.error  # a test may clear it meanwhile
        name = command.split(b"\r\n")[2].decode().upper()
        if error is None or (self.commands and name not in self.commands):
            return None
        return f"-{error}\r\n".encode(errors="surrogateescape")


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _message(stream: BinaryIO) -> bytes:
    """One command or reply of the protocol RESP2, as bytes. EOFError at the end."""
    line = stream.readline()
    if not line:
        raise EOFError
    kind, size = line[:1], line[1:].strip()
    if kind == b"$" and size != b"-1":
        return line + stream.read(int(size) + 2)
    if kind == b"*" and size != b"-1":
        return line + b"".join(_message(stream) for _ in range(int(size)))
    return line
