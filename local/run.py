"""`make run`: Redis and all services, under supervisor, until Ctrl-C."""

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

from .log_view import LogView, say
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
_START_TIMEOUT = 60.0  # seconds until everything has to answer
_STOP_TIMEOUT = 12.0  # seconds; supervisor itself kills what has not ended after 5 + 2


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
    _make_folders(settings)
    with _alone(settings):
        _require_free_ports(settings, redis)
        asked = _StopSignal()
        _migrate(settings)
        return 0 if asked.to_stop else _supervise(settings, redis, asked)


def _redis_to_start(settings: LocalSettings) -> RedisBinary | None:
    if settings.redis_url is not None:
        _require_answer(settings)
        return None
    binary = find_redis_server()
    if binary is None:
        sys.exit(
            "There is no redis-server on PATH, and no embedded one for this kind of machine."
            " Install redis-server, or set REDIS_URL to a Redis that runs elsewhere."
        )
    return binary


def _require_answer(settings: LocalSettings) -> None:
    where = RedisSettings.load(url=settings.url_of_redis, _env_file=None)
    client = RedisClient.connect(where, db=where.database())
    try:
        client.execute("PING")
    except RedisUnavailable as error:
        sys.exit(f"REDIS_URL: {error}")
    finally:
        client.breaker.close()
        client.close()


def _make_folders(settings: LocalSettings) -> None:
    """DATA_DIR, for its owner alone. What is not ours is left alone: `make reset` removes it."""
    os.umask(0o077)
    data = settings.data_dir
    try:
        data.mkdir(parents=True, exist_ok=True)
        if any(data.iterdir()) and not settings.marker.exists():
            sys.exit(f"DATA_DIR: {data} has other things in it. Name an empty folder or a new one.")
        settings.marker.touch()
        settings.run_dir.mkdir(exist_ok=True)
        settings.log_dir.mkdir(exist_ok=True)
    except OSError as error:
        sys.exit(f"DATA_DIR: {error}")


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
    wanted = [(service.port, service.port_variable) for service in settings.services]
    if redis is not None:
        wanted.insert(0, (settings.redis_port, "REDIS_PORT, or REDIS_URL to use the Redis there"))
    busy = [f"Port {port} is in use: set {way}." for port, way in wanted if not _is_free(port)]
    if busy:
        sys.exit("\n".join(busy))
    ports = [port for port, _ in wanted]
    if len(set(ports)) < len(ports):
        sys.exit(f"Each port can be given once: {', '.join(way for _, way in wanted)}.")


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
    said = [process.communicate()[0] for process in running]  # all: none may stay behind
    for service, process, output in zip(services, running, said, strict=True):
        if process.returncode:
            sys.exit(f"{service.name} cannot start: {_reason(output)}")


def _reason(output: str) -> str:
    """The line of a traceback that says what is wrong, without the name of the exception."""
    lines = [line for line in output.splitlines() if re.match(r"[\w.]+(Error|Exit): ", line)]
    return lines[-1].partition(": ")[2] if lines else output.strip()[-500:]


def _supervise(settings: LocalSettings, redis: RedisBinary | None, asked: _StopSignal) -> int:
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
        start_new_session=True,  # a Ctrl-C is ours to pass on, in order
    )
    try:
        with logs:
            return _until_the_end(settings, redis, supervisor, asked)
    finally:
        _stop(supervisor)  # whatever happened: nothing may stay behind


def _write_configuration(settings: LocalSettings, redis: RedisBinary | None) -> None:
    if redis is not None:
        (settings.run_dir / "redis.conf").write_text(redis_config(settings, redis), "utf-8")
        (settings.data_dir / redis.kind).mkdir(exist_ok=True)
    configuration = supervisor_config(settings, redis)
    (settings.run_dir / "supervisord.conf").write_text(configuration, "utf-8")


def _until_the_end(
    settings: LocalSettings,
    redis: RedisBinary | None,
    supervisor: subprocess.Popen[bytes],
    asked: _StopSignal,
) -> int:
    remember(settings)
    if _wait_until_ready(settings, supervisor, asked):
        say(_table(settings, redis))
        while not asked.to_stop and supervisor.poll() is None:
            time.sleep(_TICK)
    elif not asked.to_stop:
        say(f"Not everything answered within {_START_TIMEOUT:.0f} s; see above.")
    if supervisor.poll() is not None:
        say(f"supervisord has ended; see {settings.log_dir / 'supervisord.log'}.")
    say("Stopping.")
    _stop(supervisor)
    forget(settings)
    return 0 if asked.to_stop else 1


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


def _table(settings: LocalSettings, redis: RedisBinary | None) -> str:
    address = RedisSettings.load(url=settings.url_of_redis, _env_file=None).address
    rows = [
        (
            "redis",
            address,
            f"{redis.path.name}, data in {settings.data_dir}" if redis else "of REDIS_URL",
        )
    ]
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
