"""Runs the prepared portal until Ctrl-C: `python -m local.watch`, which `make run` becomes.

It stays as long as the portal runs, so it imports next to nothing.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from .client import send
from .log_view import LogView, print_safely
from .processes import (
    STOP_SIGNALS,
    StopSignal,
    child_environment,
    kill_the_rest,
    wait_for_the_end,
)

REDIS_URL = "redis_url.json"  # in `run_dir` while the portal runs

_FILE = "portal.json"
_TICK, _IDLE_TICK = 0.1, 1.0  # seconds
_START_TIMEOUT = 60.0  # seconds until every service has to be healthy
_STOP_TIMEOUT = 12.0  # seconds; supervisor kills services after 8 and Redis after 2 more
_TITLE_ROOM = "-" * 200  # an argument for nothing but its length: see forked.py
_MEMORY = {"MALLOC_ARENA_MAX": "1"}  # of all that supervisor starts: see deploy/Dockerfile


@dataclass(frozen=True)
class Watched:
    """The prepared portal."""

    data_dir: Path
    ports: list[int]
    names: list[str]
    banner: str

    @property
    def run_dir(self) -> Path:
        """The folder for files of the running portal."""
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        """The folder with a log file for each process."""
        return self.data_dir / "logs"

    def store(self) -> None:
        """Store it in its folder."""
        (self.run_dir / _FILE).write_text(json.dumps(asdict(self), default=str), "utf-8")

    @classmethod
    def stored(cls, data_dir: Path) -> Self:
        """Load it."""
        values = json.loads((data_dir / "run" / _FILE).read_text("utf-8"))
        return cls(**values | {"data_dir": data_dir})


def main() -> int:
    """Run the portal in DATA_DIR. Returns the exit status."""
    stop = StopSignal()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    watched = Watched.stored(Path(os.environ["DATA_DIR"]))
    return 0 if stop.requested else _supervise(watched, stop)


def _supervise(watched: Watched, stop: StopSignal) -> int:
    logs = LogView(watched.log_dir, watched.names)
    supervisor = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "local.supervisord", _TITLE_ROOM],
        env=os.environ | child_environment(watched) | _MEMORY,
        cwd=watched.run_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C stops it through us, in order
    )
    try:
        with logs:
            return _run_until_stopped(watched, supervisor, stop)
    finally:
        _stop(watched, supervisor)


def _run_until_stopped(
    watched: Watched,
    supervisor: subprocess.Popen[bytes],
    stop: StopSignal,
) -> int:
    if _wait_until_ready(watched, supervisor, stop):
        print_safely(watched.banner)
        while not stop.requested_within(_IDLE_TICK) and supervisor.poll() is None:
            pass
    elif not stop.requested:
        print_safely(
            f"Not every service was healthy within {_START_TIMEOUT:.0f} s: see the log above."
        )
    if supervisor.poll() is not None:
        status = supervisor.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"has exited with {status}"
        print_safely(f"supervisord {how}: see {watched.log_dir / 'supervisord.log'}.")
    print_safely("Stopping.")
    _stop(watched, supervisor)
    (watched.run_dir / REDIS_URL).unlink(missing_ok=True)  # it leads nowhere now
    return 0 if stop.requested else 1


def _wait_until_ready(
    watched: Watched, supervisor: subprocess.Popen[bytes], stop: StopSignal
) -> bool:
    waiting = watched.ports
    deadline = time.monotonic() + _START_TIMEOUT
    while waiting and time.monotonic() < deadline and supervisor.poll() is None:
        if stop.requested:
            return False
        waiting = [port for port in waiting if not _is_healthy(port)]
        time.sleep(_TICK if waiting else 0)
    return not waiting


def _is_healthy(port: int) -> bool:
    try:
        response = send(port, "GET", "/health", timeout_seconds=2)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    if response.status != 200 or not isinstance(response.body, dict):
        return False  # SQL is unavailable, or this is another program
    return bool(response.body.get("checks", {}).get("redis") == "ok")


def _stop(watched: Watched, supervisor: subprocess.Popen[bytes]) -> None:
    """Stop everything. Without supervisord the processes end by themselves."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        supervisor.terminate()  # does nothing if it has exited
        supervisor.wait(_STOP_TIMEOUT)
    if supervisor.poll() is None:
        supervisor.kill()
        supervisor.wait()
    if not wait_for_the_end(watched, _STOP_TIMEOUT):
        kill_the_rest(watched)


if __name__ == "__main__":
    sys.exit(main())
