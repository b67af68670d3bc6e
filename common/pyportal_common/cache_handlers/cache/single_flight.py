"""One load at a time for a key, among the threads of a process."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class _Flight:
    landed: threading.Event = field(default_factory=threading.Event)
    accepted: bool = False
    value: Any = None


class SingleFlight:
    """Lets threads that miss the same key share what one of them loads and fills.

    Only a fill that was accepted is shared, and only with those who asked before it was made.
    Accepted, because then nothing was invalidated between the begin of the load and the fill; and
    before, because an invalidation may follow at once, and who asks after that must not see the
    value any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def load(
        self,
        key: str,
        load: Callable[[Callable[[], None]], tuple[Any, bool]],
        *,
        wait_seconds: float,
    ) -> Any:
        """The value of another thread's load if it is accepted in time, else of one's own.

        `load(close)` returns the value and whether its fill was accepted. It calls `close()` before
        it fills: nobody joins from then on.
        """
        with self._lock:
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if not mine:
            if flight.landed.wait(wait_seconds) and flight.accepted:
                return flight.value
            return load(lambda: None)[0]
        try:
            flight.value, flight.accepted = load(lambda: self._close(key, flight))
            return flight.value
        finally:
            self._close(key, flight)
            flight.landed.set()

    def _close(self, key: str, flight: _Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
