"""NotificationRedisHelper, the facade of the guide."""

from collections.abc import Callable

import pytest

from app.redis_helper import NotificationRedisHelper
from common.pyportal_common.cache_handlers import RedisClient, RedisUnavailable, get_redis_client
from common.pyportal_common.redis_server import RedisServer

WELCOME = {"id": 7, "channel": "email", "recipient": "john@example.com", "subject": "Welcome"}


@pytest.fixture
def helper(client_of_service: RedisClient) -> NotificationRedisHelper:
    return NotificationRedisHelper(client_of_service)


def test_a_notification_is_cached_for_an_hour_until_it_is_invalidated(
    helper: NotificationRedisHelper, redis_client: RedisClient
) -> None:
    assert helper.get_cached_notification(7) is None
    assert helper.cache_notification(7, WELCOME) is True

    assert helper.get_cached_notification(7) == WELCOME
    assert redis_client.get_json("notification:7") == WELCOME
    assert 3590 <= redis_client.ttl("notification:7") <= 3600
    assert helper.invalidate_notification_cache(7) is True
    assert helper.get_cached_notification(7) is None


@pytest.mark.parametrize("status", ["queued", {"status": "sent", "attempts": 2}])
def test_a_delivery_status_is_cached_until_it_is_invalidated(
    helper: NotificationRedisHelper, redis_client: RedisClient, status: str | dict[str, object]
) -> None:
    helper.cache_notification("status:7", WELCOME)
    assert helper.get_delivery_status(7) is None  # the keys do not collide
    helper.cache_delivery_status(7, status, ttl=60)

    assert helper.get_delivery_status(7) == status
    assert redis_client.get_json("notification:status:7") == status
    assert 50 <= redis_client.ttl("notification:status:7") <= 60
    assert helper.invalidate_delivery_status(7) is True
    assert helper.get_delivery_status(7) is None


def test_the_default_database_is_2(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.delenv("REDIS_DB", raising=False)

    NotificationRedisHelper().cache_notification(7, WELCOME)

    assert get_redis_client(db=2).exists("notification:7") == 1
    assert get_redis_client(db=0).exists("notification:7") == 0


def test_without_redis_reads_miss_fills_are_skipped_and_invalidation_raises(
    own_redis: RedisServer, connect: Callable[..., RedisClient]
) -> None:
    helper = NotificationRedisHelper(connect(own_redis, db=2))
    own_redis.kill()

    assert helper.cache_delivery_status(7, "sent") is False
    assert helper.get_delivery_status(7) is None
    with pytest.raises(RedisUnavailable):
        helper.invalidate_delivery_status(7)
