"""The limiter under many threads and processes at once."""

from common.pyportal_common.cache_handlers import (
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    RedisPoolExhausted,
)
from common.pyportal_common.redis_server import RedisServer

from .limit_states import stored
from .load import Connect, run_threads, start
from .waiting import wait_until


def admissions(
    server: RedisServer, client: RedisClient, processes: int, *arguments: int | str
) -> tuple[int, list[int]]:
    """How many hits the processes report as admitted, and when by the server's clock (µs)."""
    running = [start("limit_load", server.port, *arguments) for _ in range(processes)]
    wait_until(lambda: client.get("ready") == str(processes), seconds=60)
    client.set("go", 1)
    counts = [int(process.communicate(timeout=120)[0]) for process in running]
    return sum(counts), [int(at) for at in client.execute("LRANGE", "admissions", 0, -1)]


def test_1024_threads_of_16_processes_get_exactly_100(
    redis_server: RedisServer, redis_client: RedisClient
) -> None:
    threads, hits, seconds = 64, 2, 0
    admitted, times = admissions(redis_server, redis_client, 16, threads, hits, seconds, "100/600")

    assert admitted == len(times) == 100


def test_never_above_20_in_any_trailing_2_seconds_of_10(
    redis_server: RedisServer, redis_client: RedisClient
) -> None:
    threads, hits, seconds = 8, 0, 10
    admitted, times = admissions(redis_server, redis_client, 2, threads, hits, seconds, "20/2")

    assert admitted == len(times)
    windows = [sum(1 for at in times if end - 2_000_000 < at <= end) for end in times]
    assert max(windows) == 20
    assert 100 <= admitted <= 120  # charges expire as soon as they may


def test_an_exhausted_pool_is_no_outage_and_admits_no_request(
    redis_server: RedisServer, connect: Connect
) -> None:
    client = connect(redis_server, max_connections=1, pool_timeout=0.001)
    limiter = Limiter(client)
    narrow = RateLimit("narrow", limit=50, window=600)
    admitted: list[bool] = []
    exhausted: list[RedisPoolExhausted] = []

    def hit() -> None:
        for _ in range(20):
            try:
                admitted.append(limiter.hit(Charge(narrow, "everybody")).allowed)
            except RedisPoolExhausted as error:
                exhausted.append(error)

    run_threads([hit] * 32)

    assert len(admitted) + len(exhausted) == 32 * 20
    assert exhausted
    assert sum(admitted) <= 50
    assert client.breaker.is_open is False
    counted = stored(client, "rate_limit:everybody", narrow)
    assert counted is not None
    assert sum(count for _, count in counted.entries) == sum(admitted)
