"""Redis over TLS: what is verified, what fails, and that every kind of client works."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.testing.certificates import TlsRedisServer

Start = Callable[..., TlsRedisServer]  # the fixture `start_tls_redis`
ConnectWith = Callable[..., RedisClient]  # the fixture `connect_with`


def settings_for(**given: Any) -> RedisSettings:
    return RedisSettings.load(_env_file=None, **given)


@pytest.fixture
def connect_with() -> Iterator[Callable[..., RedisClient]]:
    """Creates clients with the arguments of RedisSettings.load, which are closed afterwards."""
    made: list[RedisClient] = []

    def make(db: int = 0, **given: Any) -> RedisClient:
        made.append(RedisClient.connect(settings_for(**given), db=db))
        return made[-1]

    yield make
    for client in made:
        client.breaker.close()
        client.close()


def test_commands_are_encrypted(start_tls_redis: Start, connect_with: ConnectWith) -> None:
    server = start_tls_redis()
    client = connect_with(**server.client_variables())
    client.set("a", "x" * 200_000)
    assert client.get("a") == "x" * 200_000
