"""The Redis databases of a service: what the server says, and which keys there are."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ..cache_handlers import RedisClient
from ..cache_handlers.keys import SESSION_PREFIX
from .errors import Unknown
from .slow_log import SlowCommand

_INFO = (
    "redis_version", "role", "uptime_in_seconds", "connected_clients", "blocked_clients",
    "instantaneous_ops_per_sec", "keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys",
    "aof_enabled", "aof_last_write_status", "rejected_connections",
)  # fmt: skip
_MEMORY = (
    "used_memory", "used_memory_peak", "used_memory_rss", "maxmemory", "maxmemory_policy",
    "mem_fragmentation_ratio", "mem_clients_normal", "mem_aof_buffer",
)  # fmt: skip


class DatabaseOperations:
    """The databases "caches" and "sessions". Every method may raise RedisUnavailable."""

    def __init__(self, clients: Mapping[str, RedisClient]) -> None:
        self._clients = clients

    @property
    def names(self) -> Sequence[str]:
        """The names of the databases."""
        return list(self._clients)

    def info(self, name: str) -> Mapping[str, Any]:
        """The state of a database's server."""
        return self._info(name, _INFO)

    def memory(self, name: str) -> Mapping[str, Any]:
        """The memory of a database's server, in bytes."""
        return self._info(name, _MEMORY)

    def size(self, name: str) -> int:
        """How many keys a database has."""
        client = self._client(name)
        of_server = client.execute("INFO", "keyspace")
        return int(of_server.get(f"db{client.db}", {}).get("keys", 0))

    def keys(self, name: str, prefix: str, *, limit: int = 50, budget: int = 10_000) -> list[str]:
        """Keys with this prefix, in a SCAN of about `budget` keys.

        Without sessions, whose keys are secrets.
        """
        escaped = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in prefix)
        found = self._client(name).scan(f"{escaped}*", budget=budget)
        return list(islice((key for key in found if not key.startswith(SESSION_PREFIX)), limit))

    def slowlog(self, name: str, *, limit: int = 50) -> Sequence[SlowCommand]:
        """The latest slow commands of a database's server, from all its clients and databases.

        The server decides what is slow, and how many it keeps: `slowlog-log-slower-than` and
        `slowlog-max-len` of its configuration. Needs the permission for SLOWLOG GET.
        """
        return [
            SlowCommand.of(each) for each in self._client(name).execute("SLOWLOG", "GET", limit)
        ]

    def _info(self, name: str, fields: Sequence[str]) -> Mapping[str, Any]:
        client = self._client(name)
        info = client.execute("INFO")
        return {"server": client.name, **{name: info[name] for name in fields if name in info}}

    def _client(self, name: str) -> RedisClient:
        if name not in self._clients:
            raise Unknown("database", name, self._clients)
        return self._clients[name]
