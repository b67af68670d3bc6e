"""The configuration files of supervisor and Redis that `make run` writes."""

import os
import shlex
import sys
from pathlib import Path

from .portal import ROOT, LocalSettings, RedisBinary, Secrets, Service
from .processes import child_command

_STOP_WAIT = 8  # seconds: gunicorn gives requests 4 s to end, and needs about 1 s itself
_WORKER_GRACE = 3  # seconds until running jobs are released


def redis_config(settings: LocalSettings, redis: RedisBinary) -> str:
    """redis.conf: the portal's file, with the port and folder of this machine."""
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
    """supervisord.conf: Redis starts first and stops last.

    supervisord runs in the folder `run` of DATA_DIR and paths are relative to it, because `%`, `;`
    and quotes in a path have other meanings in this file.
    """
    sections = [
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            loglevel="info",
            **({"user": "root"} if os.geteuid() == 0 else {}),  # without it supervisord warns
            logfile="../logs/supervisord.log",
            pidfile="supervisord.pid",
        )
    ]
    if redis is not None:
        sections.append(_redis_program(redis))
    stored = Secrets.stored(settings)
    for service in settings.services:
        sections.append(_service_program(service, stored))
        if service.has_worker:
            sections.append(_worker_program(service, stored))
    names = ",".join(name for service in settings.services for name in service.processes)
    sections.append(_section("group:services", programs=names, priority=20))
    return "\n".join(sections)


def _redis_program(redis: RedisBinary) -> str:
    launcher = Path(__file__).with_name("redis_start.py")
    command = [sys.executable, "-I", "-S", str(launcher), str(redis.path), redis.kind]
    return _program("redis", command, priority=10, stopwaitsecs=2)


def _service_program(service: Service, stored: Secrets) -> str:
    return _program(
        service.name,
        [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{service.port}", "wsgi"],
        directory=service.folder,
        environment=_environment(service, stored),
        stopwaitsecs=_STOP_WAIT,
    )


def _worker_program(service: Service, stored: Secrets) -> str:
    return _program(
        f"{service.name}-worker",
        [sys.executable, "-m", "app.worker"],
        directory=service.folder,
        environment=_environment(service, stored, WORKER_GRACE_SECONDS=str(_WORKER_GRACE)),
        stopwaitsecs=_STOP_WAIT,
    )


def _program(name: str, command: list[str], **options: object) -> str:
    return _section(
        f"program:{name}",
        command=shlex.join(child_command(*command)),
        autorestart="true",
        startsecs=1,
        startretries=1000,
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=f"../logs/{name}.log",
        stdout_logfile_maxbytes="10MB",
        stdout_logfile_backups=1,
        **options,
    )


def _environment(service: Service, stored: Secrets, **others: str) -> str:
    values = {
        "REDIS_DB": str(service.redis_db),
        **stored.variables(service),
        **others,
    }
    return ",".join(f'{name}="{value}"' for name, value in values.items())


def _section(header: str, **options: object) -> str:
    lines = (f"{name}={str(value).replace('%', '%%')}" for name, value in options.items())
    return "\n".join([f"[{header}]", *lines, ""])


def _quoted(value: str | Path) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
