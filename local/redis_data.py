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
from datetime import datetime
from pathlib import Path

from .portal import LocalSettings, RedisBinary
from .processes import child_command, child_environment

_LOAD_TIMEOUT = 60.0  # seconds; a server that is still loading then does not refuse its data
_TICK = 0.02  # seconds


def set_aside_unreadable_data(settings: LocalSettings, redis: RedisBinary) -> None:
    """Start the server once, on a socket in a private folder. Move its data away if it exits.

    Prints what has happened. Exits if the server cannot start without data either.
    """
    folder = settings.data_dir / redis.kind
    if not any(folder.iterdir()):
        return
    reason = _refusal(settings, redis)
    if reason is None:
        return
    aside = folder.with_name(f"{redis.kind}-{datetime.now():%Y-%m-%dT%H-%M-%S}")  # noqa: DTZ005
    folder.rename(aside)
    folder.mkdir()
    other_reason = _refusal(settings, redis)
    if other_reason is not None:
        folder.rmdir()
        aside.rename(folder)
        sys.exit(f"Redis cannot start: {other_reason}")
    print(
        f"Redis cannot load its data: {reason}. It starts empty, so users have to log in again;"
        f" nothing else is lost. The data is now in {aside}.",
        flush=True,
    )


def _refusal(settings: LocalSettings, redis: RedisBinary) -> str | None:
    """Why the server exits while it loads its data, or None if it starts."""
    with tempfile.TemporaryDirectory(prefix="pyportal-redis-") as private:
        address = Path(private) / "socket"
        log = Path(private) / "log"
        options = ["--port", "0", "--unixsocket", str(address), "--logfile", str(log)]
        process = subprocess.Popen(
            child_command(str(redis.path), "redis.conf", *options),
            cwd=settings.run_dir,
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started = _starts(process, address)
        process.terminate()
        process.wait()
        return None if started else _last_warning(log)


def _starts(process: subprocess.Popen[bytes], address: Path) -> bool:
    deadline = time.monotonic() + _LOAD_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        if _has_loaded(address):
            return True
        time.sleep(_TICK)
    return process.poll() is None


def _has_loaded(address: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(address))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False


def _last_warning(log: Path) -> str:
    """The server's last warning before it exited, without the advice to repair a file."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    warnings = re.findall(r"^\d+:\w .*? # (.+)$", text, re.MULTILINE)
    return warnings[-1].partition(": make a backup")[0] if warnings else "it exits without a log"
