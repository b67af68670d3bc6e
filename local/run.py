"""`make run`: Redis, all services and their workers under supervisor, until Ctrl-C.

This module checks and prepares; then `watch.py` replaces the process, with next to no imports.
"""

import os
import re
import signal
import subprocess
import sys

from common.pyportal_common.cache_handlers import RedisSettings

from .portal import (
    LocalSettings,
    RedisBinary,
    environment,
    find_redis_server,
    remember,
)
from .processes import (
    STOP_SIGNALS,
    StopSignal,
    child_command,
    child_environment,
    exclusive,
)
from .redis_data import set_aside_unreadable_data
from .start_checks import check_ports, check_redis, check_variables
from .supervisor_config import redis_config, supervisor_config
from .watch import Watched

_RUN = [sys.executable, "-m", "local.watch"]


def run() -> int:
    """Run the portal. Returns the exit status."""
    settings = LocalSettings.load()
    check_variables(settings)
    check_redis(settings)
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
        return 0 if stop.requested else _start(settings)


def _redis_to_start(settings: LocalSettings) -> RedisBinary | None:
    if settings.given_redis is not None:
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


def _write_configuration(settings: LocalSettings, redis: RedisBinary | None) -> None:
    if redis is not None:
        (settings.run_dir / "redis.conf").write_text(redis_config(settings, redis), "utf-8")
        (settings.data_dir / redis.kind).mkdir(exist_ok=True)
    names = [name for service in settings.services for name in service.processes]
    watched = Watched(
        data_dir=settings.data_dir,
        ports=[service.port for service in settings.services],
        names=names if redis is None else ["redis", *names],
        banner=_banner(settings, redis),
    )
    watched.store()
    configuration = supervisor_config(settings, redis)
    (settings.run_dir / "supervisord.conf").write_text(configuration, "utf-8")


def _start(settings: LocalSettings) -> int:
    """Go on as `watch.py`, which keeps the lock, and gets a signal that arrives meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    remember(settings)
    sys.stdout.flush()
    os.execve(sys.executable, _RUN, environment(settings))


def _banner(settings: LocalSettings, redis: RedisBinary | None) -> str:
    server = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    source = (
        f"{redis.path.name}, data in {settings.data_dir}"
        if redis
        else f"from {settings.given_redis}"
    )
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
    lines += _consoles(settings)
    front = f"  http://localhost:{settings.usermanagement_port}/app"
    start = ["", "The portal is running. Open it in a browser:", front, "", "Its parts:"]
    return "\n".join([*start, *lines, "", "Try it:", _examples(settings), ""])


def _consoles(settings: LocalSettings) -> list[str]:
    if environment(settings)["CONSOLE"] == "off":
        return []
    create = "users create-admin --username boss --email boss@example.com"
    return [
        "",
        "Consoles, for admins:",
        *(f"  http://localhost:{service.port}/console" for service in settings.services),
        "  make seed adds an admin, and so does",
        f'  make flask service=usermanagement args="{create}"',
    ]


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
