"""Objects of other packages that live as long as a client, as a thread that follows a stream."""

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class Companion(Protocol):
    """An object that is closed with its client."""

    def close(self) -> None:
        """Stop. It may be used again, as the client may."""


C = TypeVar("C", bound=Companion)


class Companions:
    """The companions of one client: one of each kind."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._made: dict[Any, Any] = {}

    def of(self, kind: Callable[[Any], C]) -> C:
        """The companion that `kind` makes for the client, at the first call."""
        with self._lock:
            if kind not in self._made:
                self._made[kind] = kind(self._client)
            found: C = self._made[kind]
            return found

    def close(self) -> None:
        """Close all of them."""
        for companion in list(self._made.values()):
            companion.close()
