"""`make run`: Redis and all services, under supervisor, until Ctrl-C."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from .log_view import LogView
from .portal import (
    LocalSettings,
    RedisBinary,
    environment,
    find_redis_server,
    remember,
)
from .supervisor_config import redis_config, supervisor_config

_TICK = 0.1  # seconds
_START_TIMEOUT = 30.0  # seconds until everything has to answer
_STOP_TIMEOUT = 9.0  # seconds; supervisor itself kills what has not ended after 6 + 2


class _StopSignal:
    """Whether Ctrl-C, SIGTERM or the end of the terminal has asked for the end.

    A plain flag: a handler that sets a threading.Event deadlocks when it interrupts its wait.
    """

    def __init__(self) -> None:
        self.to_stop = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.to_stop = True


def run() -> int:
    """Run the portal. Returns the exit status."""
    settings = LocalSettings.load()
    redis = _redis_to_start(settings)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    with _alone(settings):
        _require_free_ports(settings, redis)
        _migrate(settings)
        return _supervise(settings, redis)


def _redis_to_start(settings: LocalSettings) -> RedisBinary | None:
    if settings.redis_url is not None:
        return None
    binary = find_redis_server()
    if binary is None:
        sys.exit(
            "There is no redis-server on PATH, and no embedded one for this kind of machine."
            " Install redis-server, or set REDIS_URL to a Redis that runs elsewhere."
        )
    return binary


@contextmanager
def _alone(settings: LocalSettings) -> Iterator[None]:
    """Two portals over one DATA_DIR would write the same files."""
    with (settings.run_dir / "lock").open("a") as lock:
        if not _locked(lock):
            sys.exit(f"The portal runs already, with its data in {settings.data_dir}.")
        left_over = _left_over(settings.run_dir / "supervisord.pid")
        if left_over is not None:
            sys.exit(f"A portal that lost its terminal still runs: end it with `kill {left_over}`.")
        yield


def running(settings: LocalSettings) -> bool:
    """Whether a portal uses this DATA_DIR."""
    try:
        with (settings.run_dir / "lock").open() as lock:
            return not _locked(lock) or _left_over(settings.run_dir / "supervisord.pid") is not None
    except FileNotFoundError:
        return False


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _left_over(pid_file: Path) -> int | None:
    try:
        pid = int(pid_file.read_text("utf-8"))
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        alive = not command.exists() or b"supervisor" in command.read_bytes()
    except (OSError, ValueError):
        return None
    return pid if alive else None


def _require_free_ports(settings: LocalSettings, redis: RedisBinary | None) -> None:
    wanted = [(service.port, f"{service.port_variable}") for service in settings.services]
    if redis is not None:
        wanted.insert(0, (settings.redis_port, "REDIS_PORT, or REDIS_URL to use the Redis there"))
    busy = [f"Port {port} is in use: set {way}." for port, way in wanted if not _is_free(port)]
    if busy:
        sys.exit("\n".join(busy))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _migrate(settings: LocalSettings) -> None:
    services = [service for service in settings.services if service.has_database]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
            cwd=service.folder,
            env=environment(settings, service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for service in services
    ]
    for service, process in zip(services, running, strict=True):
        output, _ = process.communicate()
        if process.returncode:
            reason = output.strip().splitlines()[-1:] or [f"status {process.returncode}"]
            sys.exit(f"{service.name} cannot start: {reason[0]}")


def _supervise(settings: LocalSettings, redis: RedisBinary | None) -> int:
    if redis is not None:
        config = settings.run_dir / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(redis_config(settings, redis), "utf-8")
        (settings.data_dir.absolute() / redis.kind).mkdir(exist_ok=True)
    config = settings.run_dir / "supervisord.conf"
    config.write_text(supervisor_config(settings, redis), "utf-8")

    names = [*(["redis"] if redis else []), *(service.name for service in settings.services)]
    logs = LogView(settings.log_dir, names)
    asked = _StopSignal()
    supervisor = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(config)],
        env=environment(settings),
        cwd=settings.run_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is ours to pass on, in order
    )
    try:
        with logs:
            remember(settings)
            ready = _wait_until_ready(settings, supervisor, asked)
            if ready:
                print(_table(settings, redis), flush=True)
                while not asked.to_stop and supervisor.poll() is None:
                    time.sleep(_TICK)
            status = 0 if asked.to_stop else 1
            print("Stopping.", flush=True)
            _stop(supervisor)
    finally:
        (settings.run_dir / "redis_url.json").unlink(missing_ok=True)
    if not ready and not asked.to_stop:
        print(f"Not everything answered within {_START_TIMEOUT:.0f} s; see above.", flush=True)
    return status


def _wait_until_ready(
    settings: LocalSettings, supervisor: subprocess.Popen[bytes], asked: _StopSignal
) -> bool:
    waiting = {f"http://127.0.0.1:{service.port}/health" for service in settings.services}
    deadline = time.monotonic() + _START_TIMEOUT
    while waiting and time.monotonic() < deadline and supervisor.poll() is None:
        if asked.to_stop:
            return False
        waiting = {url for url in waiting if not _is_well(url)}
        time.sleep(_TICK if waiting else 0)
    return not waiting


def _is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return b'"status":"ok"' in answer.read()
    except (OSError, urllib.error.URLError):
        return False


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.terminate()
    try:
        supervisor.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _table(settings: LocalSettings, redis: RedisBinary | None) -> str:
    address = f"127.0.0.1:{settings.redis_port}" if redis else "REDIS_URL"
    rows = [("redis", address, f"{redis.path.name}, data in {settings.data_dir}" if redis else "")]
    rows += [
        (service.name, f"http://localhost:{service.port}", f"Redis database {service.redis_db}")
        for service in settings.services
    ]
    lines = [f"  {name:<15} {address:<24} {note}".rstrip() for name, address, note in rows]
    return "\n".join(["", "The portal runs:", *lines, "", "Try it:", _curl(settings), ""])


def _curl(settings: LocalSettings) -> str:
    return (
        f"  curl -i localhost:{settings.usermanagement_port}/api/v1/airliner/registerUser \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        '    -d \'{"username":"john_doe","email":"john@example.com",'
        '"password":"correct-horse-battery"}\'\n'
        '  make redis args="get user:1"'
    )
