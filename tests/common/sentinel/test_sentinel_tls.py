"""Servers and sentinels that speak TLS only."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, RedisUnavailable
from common.pyportal_common.cache_handlers.client.connections import blocking_client
from common.pyportal_common.redis_server import redis_server_on_path
from common.pyportal_common.testing.certificates import Authority
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def encrypted(tmp_path: Path, authority: Authority) -> Iterator[SentinelSetup]:
    binary = redis_server_on_path() or missing("redis-server with TLS")
    with SentinelSetup(binary, tmp_path / "sentinel", authority=authority) as setup:
        yield setup


@contextmanager
def connected(**variables: object) -> Iterator[RedisClient]:
    client = RedisClient.connect(RedisSettings.load(_env_file=None, **variables), db=0)
    try:
        yield client
    finally:
        client.breaker.close()
        client.close()


def test_clients_follow_the_master_over_tls(encrypted: SentinelSetup) -> None:
    settings = RedisSettings.load(_env_file=None, **encrypted.client_variables())
    with connected(**encrypted.client_variables()) as client:
        client.set("before", "the failover", ttl=600)
        with closing(blocking_client(settings, 0)) as waiting:
            waiting.ping()

            encrypted.fail_over()

            wait_until(client.ping, seconds=60)
            assert client.set("after", "it", ttl=600)
            assert client.get("after") == "it"
            assert waiting.ping()


def test_a_master_of_another_authority_is_refused(encrypted: SentinelSetup, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")

    with (
        connected(url=encrypted.url, **other.variables()) as client,
        pytest.raises(RedisUnavailable, match="certificate"),
    ):
        client.get("key")


def test_plain_connections_are_refused(encrypted: SentinelSetup) -> None:
    plain = encrypted.url.replace("rediss", "redis")

    with connected(url=plain) as client, pytest.raises(RedisUnavailable):
        client.get("key")
