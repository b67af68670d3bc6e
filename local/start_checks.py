"""What `make run` checks before it starts anything. Each check exits with one line of advice."""

import socket
import sys

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisRefused,
    RedisSettings,
    RedisUnavailable,
    SessionSettings,
)
from common.pyportal_common.jobs.settings import QueueSettings, WorkerSettings

from .portal import LocalSettings, RedisBinary


def check_variables(settings: LocalSettings) -> None:
    """Raise ConfigurationError for a variable that no migration reads. Those read the others."""
    WorkerSettings.load(_env_file=None)
    RedisSettings.load(url=settings.effective_redis_url, _env_file=None)


def check_redis(settings: LocalSettings) -> None:
    """Exit if a Redis that is given by a URL cannot be used."""
    server = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    sessions, queue = SessionSettings.load(_env_file=None), QueueSettings.load(_env_file=None)
    databases = [server.database(service.redis_db) for service in settings.services]
    if settings.redis_url is not None:
        own = [other.redis_db for other in (sessions, queue) if other.redis_url is None]
        _require("REDIS_URL", server, max(databases + own))
    for variable, other in (("SESSION_REDIS_URL", sessions), ("QUEUE_REDIS_URL", queue)):
        if other.redis_url is not None:
            _require(variable, *other.server())


def _require(variable: str, server: RedisSettings, highest_database: int) -> None:
    problem = _problem(server, highest_database)
    if problem is not None:
        sys.exit(f"{variable}: {problem}")


def _problem(server: RedisSettings, highest_database: int) -> str | None:
    """Why the portal cannot use this server, or None."""
    client = RedisClient.connect(server, db=0)
    try:
        info = _info(client)
        if info.get("cluster_enabled") == "1":
            return f"Redis {server.address} is in cluster mode, which has one database only."
        if info.get("role") == "slave":
            return f"Redis {server.address} is a replica: use the address of its primary."
        client.execute("SELECT", highest_database)
    except RedisUnavailable as error:
        return _explained(error, server, highest_database)
    finally:
        client.breaker.close()
        client.close()
    return None


def _info(client: RedisClient) -> dict[str, str]:
    info: dict[str, object] = client.execute("INFO")
    return {name: str(value) for name, value in info.items()}


def _explained(error: RedisUnavailable, server: RedisSettings, highest_database: int) -> str:
    if isinstance(error, RedisRefused) and "out of range" in str(error):
        return (
            f"Redis {server.address} has no database {highest_database}:"
            " raise `databases` in its configuration, or use another server."
        )
    return str(error)


def check_ports(settings: LocalSettings, redis: RedisBinary | None) -> None:
    """Exit if a port is in use, or given twice."""
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
