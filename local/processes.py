"""The processes of a portal: who may start some, which ones live, and how they are started.

Two locks in the folder `run` of DATA_DIR: `lock` is held by `make run`, and `processes.lock` is
shared by everything that it has started. They end with their holders, also after SIGKILL.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from .child import LOCK, PARENT

_END_TIMEOUT = 12.0  # seconds; a worker needs up to nine
_TICK = 0.1  # seconds
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Folders(Protocol):
    """Where a portal's files are."""

    @property
    def data_dir(self) -> Path:
        """All of them."""

    @property
    def run_dir(self) -> Path:
        """Those of the running portal."""


class StopSignal:
    """Whether Ctrl-C, SIGTERM, the end of the terminal or of make has requested a stop.

    A pipe: a handler that sets a threading.Event deadlocks if it interrupts `wait`.
    """

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        self._parent = os.getppid()
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: os.write(writing, b"."))

    @property
    def requested(self) -> bool:
        """Whether to stop. A make that was killed sends no signal."""
        return self.requested_within(0)

    def requested_within(self, seconds: float) -> bool:
        """Wait for a signal, but not longer than this. Whether to stop."""
        received, _, _ = select.select([self._reading], [], [], seconds)
        return bool(received) or os.getppid() != self._parent


def child_command(*command: str) -> list[str]:
    """The command line of a process that does not outlive its parent."""
    launcher = Path(__file__).with_name("child.py")
    return [sys.executable, "-I", "-S", str(launcher), *command]


def child_environment(settings: Folders) -> dict[str, str]:
    """What `child_command` and `local.supervisord` read, for children of this process."""
    return {PARENT: str(os.getpid()), LOCK: str(_processes_lock(settings))}


@contextmanager
def exclusive(settings: Folders, *, wait: bool = True) -> Iterator[None]:
    """Lock DATA_DIR: two portals would write the same files.

    Exits with a message if a portal runs. If one was killed, waits for the end of its processes,
    and exits with a message if they do not end.
    """
    with (settings.run_dir / "lock").open("a") as lock:
        os.set_inheritable(lock.fileno(), True)  # for `watch.py`; `subprocess` closes it
        if not _locked(lock):
            sys.exit(
                f"The portal is already running with its data in {settings.data_dir}."
                " Stop it first."
            )
        if not wait_for_the_end(settings, _END_TIMEOUT if wait else 0):
            pids = " ".join(map(str, _holders(_processes_lock(settings))))
            sys.exit(f"Processes of a killed portal still run: stop them with `kill -9 {pids}`.")
        yield


def is_running(settings: Folders) -> bool:
    """Whether a portal, or a process that it has left behind, uses this DATA_DIR."""
    return not (_is_free(settings.run_dir / "lock") and _is_free(_processes_lock(settings)))


def wait_for_the_end(settings: Folders, seconds: float) -> bool:
    """Wait until no process is left. Returns False if some still are after this time."""
    deadline = time.monotonic() + seconds
    while not _is_free(_processes_lock(settings)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def kill_the_rest(settings: Folders) -> None:
    """Send SIGKILL to the processes that are left."""
    for pid in _holders(_processes_lock(settings)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes_lock(settings: Folders) -> Path:
    return settings.run_dir / "processes.lock"


def _is_free(path: Path) -> bool:
    try:
        with path.open() as lock:
            return _locked(lock)
    except FileNotFoundError:
        return True


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holders(path: Path) -> list[int]:
    """The processes that have a file open: from /proc, or where there is none, from lsof."""
    if not Path("/proc/self/fd").is_dir():
        lsof = shutil.which("lsof") or "/usr/sbin/lsof"
        done = subprocess.run([lsof, "-t", path], capture_output=True, text=True, check=False)
        return [int(pid) for pid in done.stdout.split()]
    return sorted(
        int(process.name) for process in Path("/proc").glob("[0-9]*") if _has_open(process, path)
    )


def _has_open(process: Path, path: Path) -> bool:
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        return any(_is_same(file, path) for file in (process / "fd").iterdir())
    return False


def _is_same(file: Path, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return file.samefile(path)
    return False
