"""Between one process and Redis: a relay that is cut now and then.

Half of the cuts refuse and close connections. The others hold what was sent, in both directions,
and deliver it when they end, as a network does that was slow: by then nobody waits for it any more.
"""

import random
import selectors
import socket
import time
from contextlib import suppress

from stress.journal import Journal, now

_TURN = 0.02  # seconds
_CHUNK = 65536  # bytes


class Relay:
    """Listens on a port of 127.0.0.1 from the start; `run` relays."""

    def __init__(self, redis_port: int) -> None:
        self._redis_port = redis_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}

    def run(self, journal: Journal, chance: random.Random, until: float) -> None:
        """Relay until then; it is cut a third of the time."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        while time.monotonic() < until:
            self._relay_for(chance.uniform(2, 6), until)
            begin, seconds = now(), chance.uniform(0.5, 4)
            kind = chance.choice(["refused", "held"])
            if kind == "held":
                time.sleep(max(0, min(seconds, until - time.monotonic())))
            else:
                self._refuse_for(seconds, until)
            journal.note("fault", f"cut-off:{kind}", begin, now())
        self._close_all()

    def _relay_for(self, seconds: float, until: float) -> None:
        end = min(time.monotonic() + seconds, until)
        while time.monotonic() < end:
            for key, _ in self._selector.select(_TURN):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peers:
                    self._forward(key.fileobj)

    def _refuse_for(self, seconds: float, until: float) -> None:
        self._close_all()
        end = min(time.monotonic() + seconds, until)
        while time.monotonic() < end:
            for key, _ in self._selector.select(_TURN):
                if key.fileobj is self._listener:
                    self._listener.accept()[0].close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._redis_port), timeout=1)
        except OSError:
            near.close()
            return
        self._peers[near], self._peers[far] = far, near
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        target = self._peers[source]
        try:
            chunk = source.recv(_CHUNK)
            if chunk:
                target.sendall(chunk)
                return
        except OSError:
            pass
        self._close(source)

    def _close(self, source: socket.socket) -> None:
        target = self._peers.pop(source)
        del self._peers[target]
        for end in (source, target):
            self._selector.unregister(end)
            with suppress(OSError):
                end.close()

    def _close_all(self) -> None:
        for end in list(self._peers):
            if end in self._peers:
                self._close(end)
