"""The configuration files that `make run` writes."""

import os
import shlex
import sys
from pathlib import Path

from .portal import ROOT, LocalSettings, RedisBinary, Secrets, Service

_STOP_WAIT = 8  # seconds: gunicorn gives requests four of them, and takes one itself
_WORKER_GRACE = 3  # seconds that tasks have to end; then they are handed back


def redis_config(settings: LocalSettings, redis: RedisBinary) -> str:
    """The portal's redis.conf, and what is this machine's own."""
    lines = [
        f"include {_quoted(ROOT / 'redis' / 'redis.conf')}",
        "bind 127.0.0.1",
        f"port {settings.redis_port}",
        f"dir {_quoted(settings.data_dir / redis.kind)}",
        'logfile ""',
    ]
    if settings.redis_password is not None:
        lines.append(f"requirepass {_quoted(settings.redis_password.get_secret_value())}")
    return "\n".join(lines) + "\n"


def supervisor_config(settings: LocalSettings, redis: RedisBinary | None) -> str:
    """supervisord's configuration: Redis starts first and stops last.

    It runs in the folder `run` of DATA_DIR, and paths are relative to that: supervisor reads `%`,
    `;` and quotes in them in ways of its own.
    """
    sections = [
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            loglevel="warn",
            **({"user": "root"} if os.geteuid() == 0 else {}),  # it warns of root unless told
            logfile="../logs/supervisord.log",
            pidfile="supervisord.pid",
        )
    ]
    if redis is not None:
        sections.append(_redis_program(redis))
    known = Secrets.of(settings)
    for service in settings.services:
        sections.append(_service_program(service, known))
        if service.has_worker:
            sections.append(_worker_program(service, known))
    names = ",".join(name for service in settings.services for name in service.processes)
    sections.append(_section("group:services", programs=names, priority=20))
    return "\n".join(sections)


def _redis_program(redis: RedisBinary) -> str:
    return _section(
        "program:redis",
        command=shlex.join([str(redis.path), "redis.conf"]),
        priority=10,
        stopwaitsecs=2,
        **_common("redis"),
    )


def _service_program(service: Service, known: Secrets) -> str:
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{service.port}", "wsgi"]
    return _section(
        f"program:{service.name}",
        command=shlex.join(command),
        directory=service.folder,
        environment=_environment(service, known),
        stopwaitsecs=_STOP_WAIT,
        **_common(service.name),
    )


def _worker_program(service: Service, known: Secrets) -> str:
    return _section(
        f"program:{service.name}-worker",
        command=shlex.join([sys.executable, "-m", "app.worker"]),
        directory=service.folder,
        environment=_environment(service, known, WORKER_GRACE_SECONDS=str(_WORKER_GRACE)),
        stopwaitsecs=_STOP_WAIT,
        **_common(f"{service.name}-worker"),
    )


def _environment(service: Service, known: Secrets, **more: str) -> str:
    values = {"REDIS_DB": str(service.redis_db), **known.variables(service), **more}
    return ",".join(f'{name}="{value}"' for name, value in values.items())


def _common(name: str) -> dict[str, object]:
    return {
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 1000,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"../logs/{name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 1,
    }


def _section(header: str, **options: object) -> str:
    lines = (f"{name}={str(value).replace('%', '%%')}" for name, value in options.items())
    return "\n".join([f"[{header}]", *lines, ""])


def _quoted(value: str | Path) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
