"""One load at a time for each key, among the threads of a process."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class _Flight:
    ended: threading.Event = field(default_factory=threading.Event)
    accepted: bool = False
    value: Any = None


class SingleFlight:
    """Threads that miss the same key share the value that one of them loads and fills.

    A value is shared only if its fill was accepted, and only with threads that asked before the
    fill. An accepted fill proves that nothing was invalidated between the start of the load and the
    fill. A thread that asks after the fill may ask after an invalidation that followed it, and must
    not see the value then.
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
        """The value of another thread's load if it is accepted in time, else of the caller's.

        `load(close)` returns the value and whether its fill was accepted. It must call `close()`
        before it fills: no thread joins after that.
        """
        with self._lock:
            flight = self._flights.get(key)
            is_mine = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if not is_mine:
            if flight.ended.wait(wait_seconds) and flight.accepted:
                return flight.value
            return load(lambda: None)[0]
        try:
            flight.value, flight.accepted = load(lambda: self._close(key, flight))
            return flight.value
        finally:
            self._close(key, flight)
            flight.ended.set()

    def _close(self, key: str, flight: _Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
