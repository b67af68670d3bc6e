"""Fixtures: a client of every kind of server, and services without routes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from flask import Flask

from common.pyportal_common.cache_handlers import Breaker, RedisClient, SessionStore, Stores
from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.plugin import missing, settings_for
from common.pyportal_common.web import create_service

from .load import Connect


@pytest.fixture(scope="module", params=["fakeredis", "redis-server", "valkey"])
def client_of_each(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisClient]:
    """A client of each kind of server, in turn."""
    if request.param == "fakeredis":
        connection = fakeredis.FakeRedis(decode_responses=True, encoding_errors="surrogateescape")
        yield RedisClient(connection, Breaker("fakeredis", lambda: True))
        return
    binary = redis_server_on_path() if request.param == "redis-server" else embedded_server()
    if binary is None:
        missing(request.param)
    server = RedisServer(binary, tmp_path_factory.mktemp(request.param))
    server.start()
    client = RedisClient.connect(settings_for(server), db=0)
    yield client
    client.close()
    server.kill()


ON_SERVERS = pytest.mark.parametrize("client_of_each", ["redis-server", "valkey"], indirect=True)
"""For tests of the scripts of rate limits: fakeredis has no `struct`."""


@pytest.fixture
def client(client_of_each: RedisClient) -> RedisClient:
    """A client of each kind of server, emptied."""
    client_of_each.execute("FLUSHALL")
    return client_of_each


@pytest.fixture
def own_client(own_redis: RedisServer, connect: Connect) -> RedisClient:
    """A client of a server that the test may kill, pause and restart."""
    return connect(own_redis)


@pytest.fixture
def make_service(
    redis_client: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Flask]:
    """Creates a service without routes of its own: make_service(settings, problems=...)."""
    monkeypatch.chdir(tmp_path)

    def make(settings: ServiceSettings | None = None, **options: Any) -> Flask:
        client = options.pop("redis_client", redis_client)
        stores = Stores.of("test", client, SessionStore(client))
        options = {"title": "Test", "stores": stores, **options}
        return create_service("test", settings or ServiceSettings.load(), **options)

    return make
