"""Graceful shutdown of workers that loses no connection."""

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

from ..extras import requires

with requires("gunicorn"):
    from gunicorn.workers.gthread import ThreadWorker

# Handshakes that began before the signal to stop complete within this: one round trip.
_HANDSHAKE_SECONDS = 0.2

_SO_ATTACH_FILTER = 26  # not in Python's socket module


class DrainingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's threaded worker, with a shutdown that loses no connection.

    gunicorn's own worker stops accepting at once, but keeps the listening socket open until its
    last request is done. A client that connects meanwhile gets a connection that is never read, and
    then a reset. This worker accepts all waiting connections, closes the socket, and then serves
    them, within `graceful_timeout`. `stop_accepting` does the rest.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn's; a worker that stops first accepts the waiting connections."""
        stopping = not enabled and not self.alive
        if stopping:
            self._release_long_polls()
            self._accept_waiting()
        super().set_accept_enabled(enabled)
        while stopping and self.sockets:
            self.sockets.pop().close()

    def _release_long_polls(self) -> None:
        polls = getattr(self.wsgi, "extensions", {}).get("long_polls")  # the app may be wrapped
        if polls is not None:
            polls.release()

    def _accept_waiting(self) -> None:
        until = time.monotonic() + _HANDSHAKE_SECONDS
        while (left := until - time.monotonic()) > 0:
            self.wait_for_and_dispatch_events(timeout=left)
        for listener in self.sockets:
            before = -1
            while self.nr_conns > before:  # `accept` returns None and counts
                before = self.nr_conns
                self.accept(listener)


def stop_accepting(server: Any) -> None:
    """Drop new handshakes in the kernel at SIGTERM. This is gunicorn's `when_ready` hook.

    Between a worker's last accept and its close of the socket another connection can be
    established, which the close resets. So no handshake may begin any more when workers accept the
    last connections: a filter on the socket drops every SYN. The client's kernel repeats it after a
    second, and is then refused, or served by the next server. docs/adr/0008 has measurements.

    All processes share the socket and its filter. So only a master that stops sets it, not a worker
    that stops, and not a master whose socket another master uses too (USR2). On other systems than
    Linux the gap remains.
    """
    stop = signal.getsignal(signal.SIGTERM)

    def drop_and_stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == server.pid and not server.reexec_pid and not server.master_pid:
            for listener in server.LISTENERS:
                _drop_handshakes(listener.sock)
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, drop_and_stop)


def _drop_handshakes(listener: socket.socket) -> None:
    if sys.platform != "linux" or listener.family == socket.AF_UNIX:
        return
    # Classic BPF on the TCP header: flags = header[13] & (SYN | ACK); drop if that is only SYN.
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # load a byte
            (0x54, 0, 0, 0x12),  # and
            (0x15, 0, 1, 0x02),  # if equal continue, else skip one
            (0x06, 0, 0, 0),  # return 0 bytes: drop
            (0x06, 0, 0, 0xFFFFFFFF),  # return all bytes: pass
        )
    )
    buffer = ctypes.create_string_buffer(program)
    attached = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    with contextlib.suppress(OSError):  # a sandbox may not support filters: the gap remains
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
