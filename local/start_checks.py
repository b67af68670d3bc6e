"""What `make run` checks before it starts anything. Each check exits with one line of advice."""

import socket
import sys

from common.pyportal_common.cache_handlers import (
    RedisSettings,
    ServerReport,
    SessionSettings,
    check_server,
)

from .portal import LocalSettings, RedisBinary

_REDIS_PORT = "REDIS_PORT"


def check_variables(settings: LocalSettings) -> None:
    """Raise ConfigurationError for a variable that no migration reads. Those read the others."""
    from common.pyportal_common.jobs.settings import WorkerSettings

    WorkerSettings.load(_env_file=None)
    if settings.given_redis is not None:
        RedisSettings.load(_env_file=None)  # both may be given
    redis = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    if redis.encryption is not None and settings.given_redis is None:
        sys.exit("REDIS_TLS: the Redis of make run has no TLS. Set REDIS_URL to one that has it.")


def check_redis(settings: LocalSettings) -> None:
    """Exit if a Redis that is given cannot be used. Print warnings."""
    server = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    sessions = SessionSettings.load(_env_file=None)
    given = settings.given_redis
    if given is not None:
        for service in settings.services:
            db = server.database(service.redis_db)
            _require(given, check_server(server, db, service=service.name, sessions=False))
    if sessions.redis_url is not None:
        _require("SESSION_REDIS_URL", check_server(*sessions.server(), sessions=True))
    elif given is not None:
        _require(given, check_server(server, sessions.redis_db, sessions=True))


def _require(variable: str, report: ServerReport) -> None:
    if report.refusals:
        sys.exit(f"{variable}: {report.refusals[0]}")
    for warning in report.warnings:
        print(f"{variable}: {warning}", file=sys.stderr)


def check_ports(settings: LocalSettings, redis: RedisBinary | None) -> None:
    """Exit if a port is in use, or given twice."""
    ports = [(service.port, service.port_variable) for service in settings.services]
    if redis is not None:
        ports.insert(0, (settings.redis_port, _REDIS_PORT))
    busy = [_in_use(port, variable) for port, variable in ports if not _is_free(port)]
    if busy:
        sys.exit("\n".join(busy))
    if len({port for port, _ in ports}) < len(ports):
        sys.exit(f"The ports must differ: {', '.join(variable for _, variable in ports)}.")


def _in_use(port: int, variable: str) -> str:
    remedy = f"{variable}, or REDIS_URL to use the Redis there"
    return f"Port {port} is in use: set {remedy if variable == _REDIS_PORT else variable}."


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
