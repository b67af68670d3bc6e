"""Points in the code where a process may kill itself: a kill from outside would seldom hit them."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from .journal import Journal
from .settings import RunSettings


class CrashPoints:
    """The crash points of one process."""

    def __init__(self, settings: RunSettings, name: str, journal: Journal) -> None:
        self._settings = settings
        self._name = name
        self._journal = journal
        self._pid = os.getpid()
        self._random = settings.random_for(f"{name} crashes")

    def maybe(self, probability: float) -> bool:
        """Whether something happens now: never while faults are disarmed."""
        if self._pid != os.getpid():  # gunicorn has forked: processes must not crash in step
            self._pid = os.getpid()
            self._random = self._settings.random_for(f"{self._name} {self._pid}")
        return self._random.random() < probability and self._settings.is_armed

    def uniform(self, highest: float) -> float:
        """A random number of up to `highest`."""
        return self._random.uniform(0, highest)

    def maybe_crash(self, kind: str, probability: float) -> None:
        """SIGKILL this process, perhaps."""
        if self.maybe(probability):
            self._journal.fault(kind)
            os.kill(os.getpid(), signal.SIGKILL)

    def maybe_pause(self, probability: float, max_seconds: float) -> None:
        """Sleep for up to `max_seconds`, perhaps: a fault then finds work in progress."""
        if self.maybe(probability):
            time.sleep(self._random.uniform(0, max_seconds))

    def add(
        self, owner: Any, name: str, probability: float, *, before: str = "", after: str = ""
    ) -> None:
        """Crash before calls of that function, and after those that return something."""

        def add_to(function: Callable[..., Any]) -> Callable[..., Any]:
            def crash_around(*args: Any, **kwargs: Any) -> Any:
                if before:
                    self.maybe_crash(before, probability)
                result = function(*args, **kwargs)
                if after and result:
                    self.maybe_crash(after, probability)
                return result

            return crash_around

        wrap(owner, name, add_to)


def wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace the attribute `name` of `owner` with `wrapper(original)`."""
    setattr(owner, name, wrapper(getattr(owner, name)))
