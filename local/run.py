"""`make run`: Redis, all services and their workers under supervisor, until Ctrl-C."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, RedisUnavailable

from .log_view import LogView, print_safely
from .portal import (
    LocalSettings,
    RedisBinary,
    environment,
    find_redis_server,
    forget,
    remember,
)
from .supervisor_config import redis_config, supervisor_config

_TICK = 0.1  # seconds
_START_TIMEOUT = 60.0  # seconds until every service has to be healthy
_STOP_TIMEOUT = 12.0  # seconds; supervisor kills services after 8 and Redis after 2 more


class _StopSignal:
    """Whether Ctrl-C, SIGTERM or the end of the terminal has requested a stop.

    A plain flag: a handler that sets a threading.Event deadlocks if it interrupts `wait`.
    """

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


def run() -> int:
    """Run the portal. Returns the exit status."""
    settings = LocalSettings.load()
    redis = _redis_to_start(settings)
    _make_folders(settings)
    with _exclusive(settings):
        _require_free_ports(settings, redis)
        stop = _StopSignal()
        _migrate(settings)
        return 0 if stop.requested else _supervise(settings, redis, stop)


def _redis_to_start(settings: LocalSettings) -> RedisBinary | None:
    if settings.redis_url is not None:
        _require_redis(settings)
        return None
    binary = find_redis_server()
    if binary is None:
        sys.exit(
            "There is no redis-server on PATH, and no embedded server for this platform."
            " Install redis-server, or set REDIS_URL to a running Redis."
        )
    return binary


def _require_redis(settings: LocalSettings) -> None:
    server = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    client = RedisClient.connect(server, db=server.database())
    try:
        client.execute("PING")
    except RedisUnavailable as error:
        sys.exit(f"REDIS_URL: {error}")
    finally:
        client.breaker.close()
        client.close()


def _make_folders(settings: LocalSettings) -> None:
    """Create DATA_DIR, for its owner only. A folder with other files is refused."""
    os.umask(0o077)
    data = settings.data_dir
    try:
        data.mkdir(parents=True, exist_ok=True)
        if any(data.iterdir()) and not settings.marker.exists():
            sys.exit(f"DATA_DIR: {data} contains other files. Use an empty folder or a new one.")
        settings.marker.touch()
        settings.run_dir.mkdir(exist_ok=True)
        settings.log_dir.mkdir(exist_ok=True)
    except OSError as error:
        sys.exit(f"DATA_DIR: {error}")


@contextmanager
def _exclusive(settings: LocalSettings) -> Iterator[None]:
    """Lock DATA_DIR: two portals would write the same files."""
    with (settings.run_dir / "lock").open("a") as lock:
        if not _locked(lock):
            sys.exit(f"The portal is already running with its data in {settings.data_dir}.")
        orphan = _orphan(settings)
        if orphan is not None:
            sys.exit(f"A portal without a terminal is still running: stop it with `kill {orphan}`.")
        yield


def is_running(settings: LocalSettings) -> bool:
    """Whether a portal uses this DATA_DIR."""
    try:
        with (settings.run_dir / "lock").open() as lock:
            return not _locked(lock) or _orphan(settings) is not None
    except FileNotFoundError:
        return False


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _orphan(settings: LocalSettings) -> int | None:
    """The process id of a supervisor that has outlived its `make run`."""
    try:
        pid = int((settings.run_dir / "supervisord.pid").read_text("utf-8"))
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        alive = not command.exists() or b"supervisor" in command.read_bytes()
    except (OSError, ValueError):
        return None
    return pid if alive else None


def _require_free_ports(settings: LocalSettings, redis: RedisBinary | None) -> None:
    ports = [(service.port, service.port_variable) for service in settings.services]
    if redis is not None:
        ports.insert(0, (settings.redis_port, "REDIS_PORT, or REDIS_URL to use the Redis there"))
    busy = [f"Port {port} is in use: set {name}." for port, name in ports if not _is_free(port)]
    if busy:
        sys.exit("\n".join(busy))
    if len({port for port, _ in ports}) < len(ports):
        sys.exit(f"The ports must differ: {', '.join(name for _, name in ports)}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _migrate(settings: LocalSettings) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
            cwd=service.folder,
            env=environment(settings, service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for service in settings.services
    ]
    outputs = [process.communicate()[0] for process in processes]  # wait for all
    for service, process, output in zip(settings.services, processes, outputs, strict=True):
        if process.returncode:
            sys.exit(f"{service.name} cannot start: {_reason(output)}")


def _reason(output: str) -> str:
    """The message of the exception in a traceback."""
    lines = [line for line in output.splitlines() if re.match(r"[\w.]+(Error|Exit): ", line)]
    return lines[-1].partition(": ")[2] if lines else output.strip()[-500:]


def _supervise(settings: LocalSettings, redis: RedisBinary | None, stop: _StopSignal) -> int:
    _write_configuration(settings, redis)
    names = [name for service in settings.services for name in service.processes]
    if redis is not None:
        names.insert(0, "redis")
    logs = LogView(settings.log_dir, names)
    supervisor = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", "supervisord.conf"],
        env=environment(settings),
        cwd=settings.run_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C stops it through us, in order
    )
    try:
        with logs:
            return _run_until_stopped(settings, redis, supervisor, stop)
    finally:
        _stop(supervisor)


def _write_configuration(settings: LocalSettings, redis: RedisBinary | None) -> None:
    if redis is not None:
        (settings.run_dir / "redis.conf").write_text(redis_config(settings, redis), "utf-8")
        (settings.data_dir / redis.kind).mkdir(exist_ok=True)
    configuration = supervisor_config(settings, redis)
    (settings.run_dir / "supervisord.conf").write_text(configuration, "utf-8")


def _run_until_stopped(
    settings: LocalSettings,
    redis: RedisBinary | None,
    supervisor: subprocess.Popen[bytes],
    stop: _StopSignal,
) -> int:
    remember(settings)
    if _wait_until_ready(settings, supervisor, stop):
        print_safely(_banner(settings, redis))
        while not stop.requested and supervisor.poll() is None:
            time.sleep(_TICK)
    elif not stop.requested:
        print_safely(
            f"Not every service was healthy within {_START_TIMEOUT:.0f} s: see the log above."
        )
    if supervisor.poll() is not None:
        print_safely(f"supervisord has exited: see {settings.log_dir / 'supervisord.log'}.")
    print_safely("Stopping.")
    _stop(supervisor)
    forget(settings)
    return 0 if stop.requested else 1


def _wait_until_ready(
    settings: LocalSettings, supervisor: subprocess.Popen[bytes], stop: _StopSignal
) -> bool:
    waiting = {f"http://127.0.0.1:{service.port}/health" for service in settings.services}
    deadline = time.monotonic() + _START_TIMEOUT
    while waiting and time.monotonic() < deadline and supervisor.poll() is None:
        if stop.requested:
            return False
        waiting = {url for url in waiting if not _is_healthy(url)}
        time.sleep(_TICK if waiting else 0)
    return not waiting


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return b'"redis":"ok"' in response.read()  # SQL too: without it, this is a 503
    except OSError:
        return False


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    if supervisor.poll() is not None:
        return
    supervisor.terminate()
    try:
        supervisor.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _banner(settings: LocalSettings, redis: RedisBinary | None) -> str:
    server = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    source = f"{redis.path.name}, data in {settings.data_dir}" if redis else "from REDIS_URL"
    rows = [("redis", server.address, source)]
    rows += [
        (
            service.name,
            f"http://localhost:{service.port}/docs",
            f"Redis database {service.redis_db}",
        )
        for service in settings.services
    ]
    lines = [f"  {name:<15} {address:<28} {note}" for name, address, note in rows]
    return "\n".join(["", "The portal is running:", *lines, "", "Try it:", _examples(settings), ""])


def _examples(settings: LocalSettings) -> str:
    return (
        f"  curl -i localhost:{settings.usermanagement_port}/api/v1/airliner/registerUser \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        '    -d \'{"username":"john_doe","email":"john@example.com",'
        '"password":"correct-horse-battery"}\'\n'
        '  make redis args="get user:1"\n'
        "  make seed    # adds users, flights and bookings\n\n"
        "Press Ctrl-C to stop."
    )
