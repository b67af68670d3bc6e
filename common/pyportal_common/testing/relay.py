"""Relays between a process and a server on this machine, whose connections can be cut."""

import random
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

RelayState = Literal["open", "held", "refused", "swallowing", "closed"]

_TURN_SECONDS = 0.02
_CHUNK_BYTES = 65536


class Relay:
    """Relays connections to its `port` of `host` to a server's port. `run` does the work."""

    def __init__(self, server_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server_port = server_port
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}

    @property
    def url(self) -> str:
        """Its redis:// URL without a database."""
        return f"redis://127.0.0.1:{self.port}"

    def run(self, rng: random.Random, until: float, note_fault: Callable[[str, int], None]) -> None:
        """Relay until then, with cuts a third of the time.

        Half of the cuts refuse and close connections. The others hold the data in both directions,
        as a slow network does, and deliver it when the cut ends and nothing waits for it any more.
        `note_fault` gets the kind of each cut and its beginning, by time.monotonic_ns().
        """
        while time.monotonic() < until:
            self._relay_for(rng.uniform(2, 6), until)
            begin, seconds = time.monotonic_ns(), rng.uniform(0.5, 4)
            kind = rng.choice(["refused", "held"])
            if kind == "held":
                time.sleep(max(0, min(seconds, until - time.monotonic())))
            else:
                self._refuse_for(seconds, until)
            note_fault(f"cut-off:{kind}", begin)
        self._close_all()

    def _relay_for(self, seconds: float, until: float) -> None:
        end = min(time.monotonic() + seconds, until)
        while time.monotonic() < end:
            for key, _ in self._selector.select(_TURN_SECONDS):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peers:
                    self._forward(key.fileobj)

    def _refuse_for(self, seconds: float, until: float) -> None:
        self._close_all()
        end = min(time.monotonic() + seconds, until)
        while time.monotonic() < end:
            for key, _ in self._selector.select(_TURN_SECONDS):
                if key.fileobj is self._listener:
                    self._listener.accept()[0].close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._server_port), timeout=1)
        except OSError:
            near.close()
            return
        self._peers[near], self._peers[far] = far, near
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        with suppress(OSError):
            chunk = source.recv(_CHUNK_BYTES)
            if chunk:
                self._peers[source].sendall(chunk)
                return
        self._close(source)

    def _close(self, source: socket.socket) -> None:
        target = self._peers.pop(source)
        del self._peers[target]
        for end in (source, target):
            self._selector.unregister(end)
            with suppress(OSError):
                end.close()

    def _close_all(self) -> None:
        while self._peers:
            self._close(next(iter(self._peers)))


class SwitchedRelay(Relay):
    """A relay in a thread of its own, which the test opens and cuts by `state`.

    While it is "swallowing" it accepts everything and delivers nothing, as a network whose packets
    a firewall drops. Connections that were open then deliver nothing afterwards, either.
    """

    def __init__(self, server_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(server_port, host=host, port=port)
        self.state: RelayState = "open"
        self._current: RelayState = "open"
        self._swallowed: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The redis:// URL of a server behind it."""
        return f"redis://127.0.0.1:{self.port}"

    def switch_to(self, server_port: int) -> None:
        """Relay new connections to another server. The others remain, as behind a load balancer."""
        self._server_port = server_port

    def close(self) -> None:
        """Close every connection and the port."""
        self.state = "closed"
        self._thread.join()

    def _serve(self) -> None:
        while (state := self.state) != "closed":
            until = time.monotonic() + 0.05
            self._current = state
            if state == "open":
                self._relay_for(0.05, until)
            elif state == "refused":
                self._refuse_for(0.05, until)
            elif state == "swallowing":
                self._swallow_until(until)
            else:
                time.sleep(0.05)
        for end in self._swallowed:
            end.close()
        self._close_all()
        self._selector.close()
        self._listener.close()

    def become(self, state: RelayState) -> None:
        """Change the state, and return when that is so."""
        self.state = state
        while self._current != state:
            time.sleep(0.005)

    def _swallow_until(self, end: float) -> None:
        # Nobody reads from these any more: what they send stays in the buffers of the kernel.
        self._swallowed.update(self._peers)
        self._peers.clear()
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._listener:
                self._selector.unregister(key.fileobj)
        while time.monotonic() < end:
            for _ in self._selector.select(_TURN_SECONDS):
                self._swallowed.add(self._listener.accept()[0])
