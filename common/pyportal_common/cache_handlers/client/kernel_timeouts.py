"""Sockets whose timeouts the kernel counts."""

import socket
import struct
from typing import Any


class KernelTimeouts(socket.socket):
    """A connected socket whose calls wait at most some seconds each, and then raise TimeoutError.

    A timeout of Python's own polls before each call, and both let another thread have the
    interpreter: a thread that exchanges a command would wait for its turn four times, not twice.
    """

    @classmethod
    def of(cls, connected: Any, seconds: float) -> Any:
        """The same connection, with these timeouts. `connected` itself if it is encrypted."""
        if type(connected) is not socket.socket:
            return connected
        connected.settimeout(None)
        timed = cls(fileno=connected.detach())
        whole, rest = divmod(max(1, round(seconds * 1_000_000)), 1_000_000)  # 0 is no timeout
        timeout = struct.pack("ll", whole, rest)
        timed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        timed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        return timed

    def sendall(self, *arguments: Any) -> None:
        """See socket.socket."""
        try:
            super().sendall(*arguments)
        except BlockingIOError as error:
            raise TimeoutError from error

    def recv_into(self, *arguments: Any) -> int:
        """See socket.socket."""
        try:
            return super().recv_into(*arguments)
        except BlockingIOError as error:
            raise TimeoutError from error
