"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Return as soon as the condition is true. AssertionError if it is not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def shortest(call: Callable[[], object]) -> float:
    """The seconds of the shortest of three calls: a machine that stalls delays one of them."""

    def seconds() -> float:
        began = time.monotonic()
        call()
        return time.monotonic() - began

    return min(seconds() for _ in range(3))
