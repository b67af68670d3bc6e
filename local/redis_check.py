"""Checks the data of Redis after a failed start: `python -m local.redis_check SERVER KIND STATUS`.

It then becomes the server. STATUS is that of the failed start, or empty if it took under a second.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .portal import LocalSettings, RedisBinary
from .processes import StopSignal
from .redis_data import set_aside_unreadable_data

_RETRY_SECONDS = 5.0
_TICK = 0.1  # seconds


def main() -> None:
    """Start the server once it can load its data, or has none. Ends when supervisor stops it."""
    server, kind, status = sys.argv[1:]
    stop = StopSignal()
    if status:  # supervisor waits longer each time, but only after less than a second
        _wait(lambda: stop.requested)
    redis = RedisBinary(Path(server), kind)
    wait_until_it_can_start(LocalSettings.load(), redis, lambda: stop.requested)
    if not stop.requested:
        os.execv(server, [server, "redis.conf"])


def wait_until_it_can_start(
    settings: LocalSettings, redis: RedisBinary, stopping: Callable[[], bool]
) -> None:
    """Move the data away if the server refuses it. Prints that.

    Waits while the server cannot start without data either, for example because the disk is full.
    Prints why, once.
    """
    printed = None
    while (reason := _obstacle(settings, redis, stopping)) is not None:
        if reason != printed:
            print(reason, flush=True)
            printed = reason
        _wait(stopping)


def _obstacle(
    settings: LocalSettings, redis: RedisBinary, stopping: Callable[[], bool]
) -> str | None:
    """Why the server cannot start, or None if it can or need not."""
    if stopping():
        return None
    try:
        set_aside_unreadable_data(settings, redis, stopping)
    except SystemExit as refusal:
        return str(refusal)
    except OSError as error:
        return f"Redis cannot start: {error}"
    return None


def _wait(stopping: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _RETRY_SECONDS
    while not stopping() and time.monotonic() < deadline:
        time.sleep(_TICK)


if __name__ == "__main__":
    main()
