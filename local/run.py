"""`make run`: Redis, all services and their workers under supervisor, until Ctrl-C."""

import contextlib
import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

from common.pyportal_common.cache_handlers import RedisSettings

from .client import send
from .log_view import LogView, print_safely
from .portal import (
    LocalSettings,
    RedisBinary,
    Service,
    environment,
    find_redis_server,
    forget,
    remember,
)
from .processes import (
    StopSignal,
    child_command,
    child_environment,
    exclusive,
    kill_the_rest,
    wait_for_the_end,
)
from .redis_data import set_aside_unreadable_data
from .start_checks import check_ports, check_redis, check_variables
from .supervisor_config import redis_config, supervisor_config

_TICK = 0.1  # seconds
_START_TIMEOUT = 60.0  # seconds until every service has to be healthy
_STOP_TIMEOUT = 12.0  # seconds; supervisor kills services after 8 and Redis after 2 more


def run() -> int:
    """Run the portal. Returns the exit status."""
    settings = LocalSettings.load()
    _in_a_fork(lambda: check_variables(settings))
    _in_a_fork(lambda: check_redis(settings))
    redis = _redis_to_start(settings)
    _make_folders(settings)
    with exclusive(settings):
        check_ports(settings, redis)
        stop = StopSignal()
        try:
            _write_configuration(settings, redis)
        except OSError as error:  # such as a full disk
            sys.exit(f"DATA_DIR: {error}")
        _migrate(settings)
        if redis is not None:
            set_aside_unreadable_data(settings, redis, lambda: stop.requested)
        return 0 if stop.requested else _supervise(settings, redis, stop)


def _in_a_fork(check: Callable[[], None]) -> None:
    """Exit as the check does if it fails. It imports what this process would keep in memory."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        check()
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(status)


def _redis_to_start(settings: LocalSettings) -> RedisBinary | None:
    if settings.redis_url is not None:
        return None
    binary = find_redis_server()
    if binary is None:
        sys.exit(
            "There is no redis-server on PATH, and no embedded server for this platform."
            " Install redis-server, or set REDIS_URL to a running Redis."
        )
    return binary


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


def _migrate(settings: LocalSettings) -> None:
    processes = [
        subprocess.Popen(
            child_command(sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"),
            cwd=service.folder,
            env=environment(settings, service) | child_environment(settings),
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


def _supervise(settings: LocalSettings, redis: RedisBinary | None, stop: StopSignal) -> int:
    names = [name for service in settings.services for name in service.processes]
    if redis is not None:
        names.insert(0, "redis")
    logs = LogView(settings.log_dir, names)
    supervisor = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "local.supervisord"],
        env=environment(settings) | child_environment(settings),
        cwd=settings.run_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C stops it through us, in order
    )
    try:
        with logs:
            return _run_until_stopped(settings, redis, supervisor, stop)
    finally:
        _stop(settings, supervisor)


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
    stop: StopSignal,
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
        status = supervisor.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"has exited with {status}"
        print_safely(f"supervisord {how}: see {settings.log_dir / 'supervisord.log'}.")
    print_safely("Stopping.")
    _stop(settings, supervisor)
    forget(settings)
    return 0 if stop.requested else 1


def _wait_until_ready(
    settings: LocalSettings, supervisor: subprocess.Popen[bytes], stop: StopSignal
) -> bool:
    waiting = settings.services
    deadline = time.monotonic() + _START_TIMEOUT
    while waiting and time.monotonic() < deadline and supervisor.poll() is None:
        if stop.requested:
            return False
        waiting = [service for service in waiting if not _is_healthy(service)]
        time.sleep(_TICK if waiting else 0)
    return not waiting


def _is_healthy(service: Service) -> bool:
    try:
        response = send(service.port, "GET", "/health", timeout_seconds=2)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    if response.status != 200 or not isinstance(response.body, dict):
        return False  # SQL is unavailable, or this is another program
    return bool(response.body.get("checks", {}).get("redis") == "ok")


def _stop(settings: LocalSettings, supervisor: subprocess.Popen[bytes]) -> None:
    """Stop everything. Without supervisord the processes end by themselves."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        supervisor.terminate()  # does nothing if it has exited
        supervisor.wait(_STOP_TIMEOUT)
    if supervisor.poll() is None:
        supervisor.kill()
        supervisor.wait()
    if not wait_for_the_end(settings, _STOP_TIMEOUT):
        kill_the_rest(settings)


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
