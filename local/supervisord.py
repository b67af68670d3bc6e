"""supervisord for `make run`, `python -m local.supervisord`: it does not outlive its parent.

When the process PORTAL_PARENT ends in any way, it stops its processes in order and ends.
"""

import os
import signal
import threading
import time

from supervisor import supervisord  # type: ignore[import-untyped]

from .child import PARENT, hold_lock

_POLL_SECONDS = 0.25


def main() -> None:
    """Run supervisord with the supervisord.conf of the working directory."""
    hold_lock()
    parent = int(os.environ[PARENT])
    os.environ[PARENT] = str(os.getpid())  # for its processes
    threading.Thread(target=_stop_after, args=(parent,), daemon=True).start()
    supervisord.main(["-c", "supervisord.conf"])


def _stop_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)  # as `make run` does: Redis stops last


if __name__ == "__main__":
    main()
