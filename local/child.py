"""Runs a program that does not outlive its parent: `python child.py PROGRAM ARGUMENT...`.

When the process PORTAL_PARENT ends in any way, the program gets a SIGTERM. Until the program and
the processes that it forks have ended, they share a lock on the file PORTAL_LOCK: `processes.py`
reads it. This file imports nothing but the standard library, so `python -I -S` starts it quickly.
"""

import fcntl
import os
import signal
import sys
import time

PARENT = "PORTAL_PARENT"  # the variable with the id of the parent
LOCK = "PORTAL_LOCK"  # the variable with the path of the lock

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.25


def hold_lock() -> None:
    """Share the lock until this process, and all that inherit its open files, have ended."""
    file = os.open(os.environ[LOCK], os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_SH)
    os.set_inheritable(file, True)


def end_with_parent(parent: int) -> None:
    """Make the program that replaces this process get a SIGTERM when `parent` ends."""
    if not _kernel_signals_end_of_parent():
        _start_watcher(parent)
    if os.getppid() != parent:  # it ended before
        sys.exit(1)


def _kernel_signals_end_of_parent() -> bool:
    try:
        import ctypes

        return sys.platform == "linux" and not ctypes.CDLL(None).prctl(
            _PR_SET_PDEATHSIG, signal.SIGTERM
        )
    except (ImportError, OSError, AttributeError):
        return False


def _start_watcher(parent: int) -> None:
    """Where the kernel has no such signal: fork a process that looks for `parent`."""
    program = os.getpid()
    if os.fork():
        return
    while os.getppid() == program:
        if not _exists(parent):
            os.kill(program, signal.SIGTERM)
            break
        time.sleep(_POLL_SECONDS)
    os._exit(0)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    end_with_parent(int(os.environ[PARENT]))
    hold_lock()
    os.execv(sys.argv[1], sys.argv[1:])
