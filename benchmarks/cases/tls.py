"""What TLS adds to a command and to a connection, on one server with both ports."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.redis_server import free_port, redis_server_on_path
from common.pyportal_common.testing.certificates import Authority, TlsRedisServer

from ..scale import Scale
from ..tables import Report, Table, ratios, spread
from ..timing import microseconds

_VALUES = {"300 bytes": 300, "100 kB": 100_000}


def run(scale: Scale) -> Report:
    """Measure the microseconds of a call over each kind of connection."""
    with _clients() as clients:
        calls: dict[str, Callable[[], object]] = {}
        for kind, client in clients.items():
            for name, size in _VALUES.items():
                client.set(name, "v" * size, ttl=3600)
                calls[f"{kind}: get of {name}"] = _get(client, name)
            calls[f"{kind}: a new connection"] = _connect(client)
        times = microseconds(calls, rounds=scale.rounds, slices=scale.slices, each=scale.calls)
    table = Table(("call", "plain, µs", "TLS, µs", "TLS ÷ plain"))
    for name in [name.removeprefix("plain: ") for name in calls if name.startswith("plain")]:
        plain, encrypted = times[f"plain: {name}"], times[f"TLS: {name}"]
        table.add(name, spread(plain, 0), spread(encrypted, 0), spread(ratios(encrypted, plain)))
    return Report([table], [])


def _get(client: RedisClient, key: str) -> Callable[[], object]:
    return lambda: client.get(key)


def _connect(client: RedisClient) -> Callable[[], object]:
    def connect() -> None:
        with client.own_connection():
            pass

    return connect


@contextmanager
def _clients() -> Iterator[dict[str, RedisClient]]:
    binary = redis_server_on_path()
    if binary is None:
        raise SystemExit("There is no redis-server with TLS on this machine.")
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder) / "certificates")
        port = free_port()
        server = TlsRedisServer(
            binary, Path(folder) / "redis", authority, options={"port": str(port)}
        )
        server.start()
        try:
            yield {
                "plain": _client(url=f"redis://127.0.0.1:{port}"),
                "TLS": _client(**server.client_variables()),
            }
        finally:
            server.stop()


def _client(**settings: Any) -> RedisClient:
    loaded = RedisSettings.load(read_timeout=30, _env_file=None, **settings)
    return RedisClient.connect(loaded, db=0)
