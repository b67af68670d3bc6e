"""Sockets that rarely release the GIL."""

import ctypes
import socket
import struct
import time
from typing import Any

_AT_ONCE = 16 * 1024  # bytes: no longer message is sent without letting other threads run
_PART = 64 * 1024  # bytes
_FLAGS = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)

_send = ctypes.PyDLL(None).send  # of a PyDLL: it keeps the interpreter
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t


class BriefSocket(socket.socket):
    """A connected socket that waits at most some seconds, and then raises TimeoutError.

    A thread that has let another one have the interpreter waits until it is free again. Python's
    sockets with a timeout do that four times for a command: they poll before they send, and before
    they receive. Here the kernel counts the timeouts, and a short message is sent without letting
    others run, which takes some microseconds. So a command waits once: for its reply. A signal that
    Python handles in this thread restarts the timeout.
    """

    _seconds: float

    @classmethod
    def of(cls, connected: Any, seconds: float) -> Any:
        """The same connection, with these timeouts. `connected` itself if it is encrypted."""
        if type(connected) is not socket.socket:
            return connected
        connected.settimeout(None)
        brief = cls(fileno=connected.detach())
        brief._seconds = seconds
        whole, rest = divmod(max(1, round(seconds * 1_000_000)), 1_000_000)  # 0 is no timeout
        timeout = struct.pack("ll", whole, rest)
        brief.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        brief.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        return brief

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """See socket.socket."""
        if len(data) <= _AT_ONCE and type(data) is bytes:
            sent = _send(self.fileno(), data, len(data), flags | _FLAGS)
            if sent == len(data):
                return
            data = data[max(0, sent) :]  # the errors of the rest are raised below
        until, rest = time.monotonic() + self._seconds, memoryview(data)
        try:
            while rest:
                rest = rest[
                    super().send(rest[:_PART], flags) :
                ]  # which waits until it has sent all
                if rest and time.monotonic() > until:
                    raise TimeoutError
        except BlockingIOError as error:
            raise TimeoutError from error

    def recv_into(self, *arguments: Any) -> int:
        """See socket.socket."""
        try:
            return super().recv_into(*arguments)
        except BlockingIOError as error:
            raise TimeoutError from error
