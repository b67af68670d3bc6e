"""BookingRedisHelper, call by call, as the integration guide uses it."""

from collections.abc import Callable

import pytest

from app.redis_helper import BookingRedisHelper
from common.pyportal_common.cache_handlers import RedisClient, RedisUnavailable, get_redis_client
from common.pyportal_common.redis_server import RedisServer

TASK = {"taskId": 456, "userId": 123, "status": "processing", "details": {"flightId": 789}}


@pytest.fixture
def helper(client_of_service: RedisClient) -> BookingRedisHelper:
    return BookingRedisHelper(client_of_service)


def test_cached_task_is_returned(helper: BookingRedisHelper, redis_client: RedisClient) -> None:
    assert helper.cache_booking(456, TASK, ttl=3600) is True

    assert helper.get_cached_booking(456) == TASK
    assert redis_client.get_json("booking:456") == TASK
    assert 3590 <= redis_client.ttl("booking:456") <= 3600


def test_invalidated_task_is_a_miss(helper: BookingRedisHelper) -> None:
    helper.cache_booking(456, TASK)

    assert helper.invalidate_booking_cache(456) is True
    assert helper.get_cached_booking(456) is None


def test_availability_is_a_number_for_five_minutes(
    helper: BookingRedisHelper, redis_client: RedisClient
) -> None:
    helper.cache_flight_availability(flight_id=789, available_seats=10)

    assert helper.get_cached_flight_availability(789) == 10
    assert redis_client.get("flight:availability:789") == "10"
    assert 290 <= redis_client.ttl("flight:availability:789") <= 300
    assert helper.invalidate_flight_availability_cache(789) is True
    assert helper.get_cached_flight_availability(789) is None


def test_full_flight_is_not_a_miss(helper: BookingRedisHelper) -> None:
    helper.cache_flight_availability(789, 0, ttl=300)

    assert helper.get_cached_flight_availability(789) == 0


def test_default_client_uses_database_1(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.delenv("REDIS_DB", raising=False)

    BookingRedisHelper().cache_booking(456, TASK)

    assert get_redis_client(db=1).exists("booking:456") == 1
    assert get_redis_client(db=0).exists("booking:456") == 0


def test_without_redis_reads_miss_fills_are_skipped_and_invalidation_raises(
    own_redis: RedisServer, connect: Callable[..., RedisClient]
) -> None:
    helper = BookingRedisHelper(connect(own_redis, db=1))
    own_redis.kill()

    assert helper.cache_booking(456, TASK) is False
    assert helper.get_cached_flight_availability(789) is None
    with pytest.raises(RedisUnavailable):
        helper.invalidate_booking_cache(456)
