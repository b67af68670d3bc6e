"""The latest changes of cached values by this process: the history of a value that is stale."""

import time
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

_KEPT = 2000  # events


class KeyEvent(NamedTuple):
    """A fence, lease, fill or removal of a key, and when it was, by time.time()."""

    at: float
    event: str
    key: str


class KeyEvents:
    """A ring of the latest events, in memory. An event costs less than a microsecond."""

    def __init__(self) -> None:
        self._ring: deque[tuple[float, str, str]] = deque(maxlen=_KEPT)  # fields of KeyEvent

    def add(self, event: str, *names: str) -> None:
        """Add an event of each of these keys."""
        at = time.time()
        for name in names:
            self._ring.append((at, event, name))

    def of(self, names: Collection[str]) -> list[KeyEvent]:
        """The events of these keys that are still in the ring, the oldest first."""
        return [KeyEvent(*each) for each in self._ring.copy() if each[2] in names]
