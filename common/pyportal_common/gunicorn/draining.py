"""How a worker stops without losing a connection."""

import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
import time
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# A handshake that had begun before the server was told to stop ends within this: a round trip.
_HANDSHAKE_SECONDS = 0.2

_SO_ATTACH_FILTER = 26  # Python has no name for it


class DrainingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's threads, which stop without losing a connection.

    gunicorn alone stops accepting at once, but keeps its listening socket open until the last
    request is done. Whoever connects meanwhile gets a connection that nobody reads, and then a
    reset. This worker accepts all that waits, closes the socket, and then serves what it has,
    within `graceful_timeout`. See `stop_accepting` for the rest.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept as gunicorn does; a worker that stops takes first what waits."""
        stopping = not enabled and not self.alive
        if stopping:
            self._accept_what_waits()
        super().set_accept_enabled(enabled)
        while stopping and self.sockets:
            self.sockets.pop().close()

    def _accept_what_waits(self) -> None:
        until = time.monotonic() + _HANDSHAKE_SECONDS
        while (left := until - time.monotonic()) > 0:
            self.wait_for_and_dispatch_events(timeout=left)
        for listener in self.sockets:
            before = -1
            while self.nr_conns > before:  # `accept` returns nothing, and counts
                before = self.nr_conns
                self.accept(listener)


def stop_accepting(server: Any) -> None:
    """At SIGTERM, have the kernel ignore who knocks: gunicorn's `when_ready`.

    Between the last accept and the close of the socket another connection can be established, and
    the close resets it. So no handshake may begin any more when workers accept the last ones: a
    filter on the socket drops every SYN. Who sent it tries again in a second, and is refused, or
    served by the next server.

    The filter is on the socket, not on a process. So this is the master's to do, when all stop, and
    not when one worker does, nor when another master (USR2) has the socket too. On systems other
    than Linux the gap stays.
    """
    stop = signal.getsignal(signal.SIGTERM)

    def close_and_stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == server.pid and not server.reexec_pid and not server.master_pid:
            for listener in server.LISTENERS:
                _drop_handshakes(listener.sock)
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, close_and_stop)


def _drop_handshakes(listener: socket.socket) -> None:
    if sys.platform != "linux" or listener.family == socket.AF_UNIX:
        return
    # Classic BPF, over the TCP header: flags = header[13] & (SYN | ACK); drop if that is SYN alone.
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # load a byte
            (0x54, 0, 0, 0x12),  # and
            (0x15, 0, 1, 0x02),  # if equal, the next; else the one after that
            (0x06, 0, 0, 0),  # return 0 bytes of it
            (0x06, 0, 0, 0xFFFFFFFF),  # return all of it
        )
    )
    buffer = ctypes.create_string_buffer(program)
    attached = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    with contextlib.suppress(OSError):  # a sandbox may know no filters: then the gap stays
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
