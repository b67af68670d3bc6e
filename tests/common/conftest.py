"""Every kind of server that the layer has to behave alike on."""

from collections.abc import Iterator

import fakeredis
import pytest

from common.pyportal_common.cache_handlers import Breaker, RedisClient
from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.plugin import missing, settings_for


def fake_client() -> RedisClient:
    connection = fakeredis.FakeRedis(decode_responses=True)
    return RedisClient(connection, Breaker("fakeredis", lambda: True))


@pytest.fixture(scope="module", params=["fakeredis", "redis-server", "valkey"])
def client_of_each(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisClient]:
    if request.param == "fakeredis":
        yield fake_client()
        return
    found = redis_server_on_path() if request.param == "redis-server" else embedded_server()
    if found is None:
        missing(request.param)
    server = RedisServer(found, tmp_path_factory.mktemp(request.param))
    server.start()
    client = RedisClient.connect(settings_for(server), db=0)
    yield client
    client.close()
    server.kill()


@pytest.fixture
def client(client_of_each: RedisClient) -> RedisClient:
    client_of_each.execute("FLUSHALL")
    return client_of_each
