"""Points of the code at which a process may take its own life: moments that no kill from outside
would hit.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from .setting import Setting


class Points:
    """Those of one process."""

    def __init__(self, setting: Setting, name: str) -> None:
        self._setting = setting
        # Another for each process that takes the place of a dead one.
        self._chance = setting.random_for(f"{name} {len(setting.deaths())}")

    def die_perhaps(self, kind: str, chance: float) -> None:
        """SIGKILL to itself, while faults are to happen."""
        if self._chance.random() < chance and self._setting.is_armed:
            self._setting.note_death(kind)
            os.kill(os.getpid(), signal.SIGKILL)

    def pause_perhaps(self, chance: float, seconds: float) -> None:
        """Take up to so many seconds, so that faults find something under way."""
        if self._chance.random() < chance and self._setting.is_armed:
            time.sleep(self._chance.uniform(0, seconds))


def wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Let `wrapper` replace what `owner` has under that name, given the original."""
    setattr(owner, name, wrapper(getattr(owner, name)))
