"""A pytest plugin with clients of Redis, raw servers and PostgreSQL, beside `pytest_plugin`."""

import itertools
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from ..cache_handlers import RedisClient, RedisSettings, close_redis_clients
from ..cache_handlers.sessions.ended import EndedSessions
from ..pytest_plugin import missing as missing
from ..redis_server import RedisServer, redis_server_on_path
from .certificates import Authority, TlsRedisServer
from .postgres import postgres_binaries, running_postgres
from .raw_servers import Conversation, RawServer
from .sentinel import SentinelSetup

_NUMBERS = itertools.count(1)

pytest_plugins = [missing.__module__]  # its fixtures belong to this plugin too


def settings_for(server: RedisServer | SentinelSetup, **settings: object) -> RedisSettings:
    """Settings for a client of `server`, independent of the environment."""
    return RedisSettings.load(url=server.url, _env_file=None, **settings)


@pytest.fixture
def connect() -> Iterator[Callable[..., RedisClient]]:
    """Creates clients of a server, which are closed after the test: connect(server, db=1)."""
    made: list[RedisClient] = []

    def make(
        server: RedisServer | SentinelSetup, *, db: int = 0, **settings: object
    ) -> RedisClient:
        client = RedisClient.connect(settings_for(server, **settings), db=db)
        made.append(client)
        return client

    yield make
    for client in made:
        client.breaker.close()
        client.close()


@pytest.fixture
def redis_client(redis_server: RedisServer, connect: Callable[..., RedisClient]) -> RedisClient:
    """A client of database 0 of `redis_server`."""
    return connect(redis_server)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority."""
    return Authority(tmp_path / "certificates")


@pytest.fixture
def start_tls_redis(
    authority: Authority, tmp_path: Path
) -> Iterator[Callable[..., TlsRedisServer]]:
    """Starts servers that speak TLS only: start_tls_redis(mutual=True). See TlsRedisServer."""
    binary = redis_server_on_path()
    if binary is None:
        missing("redis-server with TLS")
    started: list[TlsRedisServer] = []

    def start(**options: Any) -> TlsRedisServer:
        folder = tmp_path / f"tls-redis{len(started)}"
        started.append(TlsRedisServer(binary, folder, authority, **options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def own_commands_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of the test send no command that it does not cause. They do not follow EndedSessions.

    For tests that count commands. It must come before the fixtures that connect.
    """
    monkeypatch.setattr(EndedSessions, "_ensure_thread", lambda _: None)


@pytest.fixture(autouse=True)
def _close_shared_clients() -> Iterator[None]:
    """Close the clients of `get_redis_client` after every test."""
    yield
    close_redis_clients()


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Starts servers whose conversations the test defines: serve(talk, tls=context)."""
    started: list[RawServer] = []

    def start(
        talk: Callable[[Conversation], None], *, tls: ssl.SSLContext | None = None
    ) -> RawServer:
        started.append(RawServer(talk, tls=tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def sentinel_setup(redis_binary: Path, tmp_path: Path) -> Iterator[SentinelSetup]:
    """A master, two replicas and three sentinels that the test may kill and freeze."""
    with SentinelSetup(redis_binary, tmp_path / "sentinel") as setup:
        yield setup


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL of a PostgreSQL server for this run. Skips if it is not installed."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    with running_postgres(binaries) as url:
        yield url


@pytest.fixture
def own_postgres_url(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database on that server, which only this test uses."""
    url = make_url(postgres_url)
    name = f"own_{next(_NUMBERS)}"
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
