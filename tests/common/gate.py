"""A relay between a process and a server that a test can hold or cut."""

import selectors
import threading
import time
from typing import Literal

from common.pyportal_common.testing.relay import Relay

_TURN = 0.05  # seconds


class ControlledRelay(Relay):
    """Relays, holds or refuses connections, as its `state` says. `port` is where it listens."""

    def __init__(self, server_port: int) -> None:
        super().__init__(server_port)
        self.state: Literal["open", "held", "refused", "gone"] = "open"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop, and close every connection."""
        self.state = "gone"
        self._thread.join()

    def _serve(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        while self.state != "gone":
            until = time.monotonic() + _TURN
            if self.state == "open":
                self._relay_for(_TURN, until)
            elif self.state == "refused":
                self._refuse_for(_TURN, until)
            else:
                time.sleep(_TURN)
        self._close_all()
        self._selector.close()
        self._listener.close()
