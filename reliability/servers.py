"""The Redis server and the SQL databases of a run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import create_engine, make_url, text

from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.certificates import Authority, TlsRedisServer
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres
from common.pyportal_common.testing.redis_kinds import RedisKind
from common.pyportal_common.testing.users import with_passwords

from .settings import ROOT

_OPTIONS = {"appendfsync": "everysec", "repl-diskless-sync-delay": "0"}


def redis_binary() -> Path:
    """The installed server, else the embedded one. Exits if there is none."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("there is no Redis server on this machine")
    return binary


@dataclass(frozen=True)
class ServerSpec:
    """What all servers of a run have in common. With an `authority` they speak TLS only."""

    binary: Path = field(default_factory=redis_binary)
    authority: Authority | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def server_spec(kind: RedisKind, folder: Path) -> ServerSpec:
    """The servers of a kind, with files in `folder`. Exits if this machine does not have them."""
    binary = kind.binary()
    if binary is None:
        raise SystemExit(f"there is no server for {kind} on this machine")
    options = {}
    if kind.acl:
        file = folder / "users.acl"
        file.write_text(with_passwords((ROOT / "redis" / "users.acl").read_text("utf-8")), "utf-8")
        options["aclfile"] = str(file)
    return ServerSpec(binary, Authority(folder / "certificates") if kind.tls else None, options)


@contextmanager
def running_redis(
    folder: Path, name: str = "redis", spec: ServerSpec | None = None
) -> Iterator[RedisServer]:
    """A Redis with the append-only file of `redis/redis.conf`, until the block ends."""
    spec = spec or ServerSpec()
    options = {**_OPTIONS, **spec.options}
    server = (
        RedisServer(spec.binary, folder / name, options=options)
        if spec.authority is None
        else TlsRedisServer(spec.binary, folder / name, spec.authority, options=options)
    )
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def empty_database(folder: Path, kind: str) -> Iterator[str]:
    """The SQLAlchemy URL of an empty "sqlite" or "postgresql" database, until the block ends."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'database.sqlite3'}"
        return
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("there is no PostgreSQL on this machine")
    with running_postgres(binaries) as url:
        yield url


@contextmanager
def empty_databases(folder: Path, kind: str, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """The URL of an empty database for each name, until the block ends."""
    with empty_database(folder, kind) as url:
        if kind == "sqlite":
            yield {name: f"sqlite:///{folder / name}.sqlite3" for name in names}
            return
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in names:
                connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        server = make_url(url)
        yield {
            name: server.set(database=name).render_as_string(hide_password=False) for name in names
        }


def command(server: RedisServer, *words: str | int, authority: Authority | None = None) -> object:
    """The reply to one command, on its own connection."""
    options: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "decode_responses": True}
    connection = (
        redis.Connection(**options)
        if authority is None
        else redis.SSLConnection(ssl_ca_certs=str(authority.file), **options)
    )
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        connection.disconnect()
