"""Redis' data folder under `make run`: data that the server cannot load is set aside.

SQL has the truth, so the portal starts without it. docs/adr/0024 says why it is not repaired.
"""

import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from .portal import LocalSettings, RedisBinary
from .processes import child_command, child_environment

_LOAD_TIMEOUT = 60.0  # seconds; a server that is still loading then does not refuse its data
_STOP_TIMEOUT = 10.0  # seconds
_TICK = 0.02  # seconds


def set_aside_unreadable_data(
    settings: LocalSettings, redis: RedisBinary, stopping: Callable[[], bool]
) -> None:
    """Start the server once, on a socket in a private folder. Move its data away if it refuses it.

    Prints what has happened. Exits if the server cannot start without data either. Leaves the data
    alone once `stopping` returns True, and if something else ends the server.
    """
    folder = settings.data_dir / redis.kind
    if not any(folder.iterdir()):
        return
    reason = _refusal(settings, redis, folder, stopping)
    if reason is None:
        return
    with tempfile.TemporaryDirectory(prefix="empty-", dir=settings.data_dir) as empty:
        other_reason = _refusal(settings, redis, Path(empty), stopping)
    if other_reason is not None:
        _exit_because(other_reason)
    if stopping():
        return
    aside = folder.with_name(f"{redis.kind}-{datetime.now():%Y-%m-%dT%H-%M-%S}")  # noqa: DTZ005
    folder.rename(aside)
    folder.mkdir()
    print(
        f"Redis cannot load its data: {reason}. It starts empty, so users have to log in again;"
        f" nothing else is lost. The data is now in {aside}.",
        flush=True,
    )


def _refusal(
    settings: LocalSettings, redis: RedisBinary, folder: Path, stopping: Callable[[], bool]
) -> str | None:
    """Why the server refuses the data in a folder; None if it does not.

    It then logs why, and exits with a status above 0. A signal and a shutdown are no refusals: a
    kernel that is out of memory sends one, too. Exits if the server logs nothing.
    """
    with tempfile.TemporaryDirectory(prefix="pyportal-redis-") as private:
        address, log = Path(private) / "socket", Path(private) / "log"
        options = {"dir": folder, "port": 0, "unixsocket": address, "logfile": log}
        process = subprocess.Popen(
            child_command(
                str(redis.path),
                "redis.conf",
                *(word for name, value in options.items() for word in (f"--{name}", str(value))),
            ),
            cwd=settings.run_dir,
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C would end it, too
        )
        status = _status_while_loading(process, address, stopping)
        _stop(process)
        if status is None or status <= 0:
            return None
        return _last_warning(log) or _exit_because(f"it exits with {status} and logs nothing")


def _exit_because(reason: str) -> NoReturn:
    sys.exit(f"Redis cannot start: {reason}")


def _status_while_loading(
    process: subprocess.Popen[bytes], address: Path, stopping: Callable[[], bool]
) -> int | None:
    """The status that the server exits with while it loads its data; None if it does not exit."""
    deadline = time.monotonic() + _LOAD_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        if stopping() or _has_loaded(address):
            return None
        time.sleep(_TICK)
    return process.poll()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # does nothing if it has exited
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _has_loaded(address: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(address))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False


def _last_warning(log: Path) -> str | None:
    """The server's last warning before it exited, without the advice to repair a file."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    warnings = re.findall(r"^\d+:\w .*? # (.+)$", text, re.MULTILINE)
    return warnings[-1].partition(": make a backup")[0] if warnings else None
