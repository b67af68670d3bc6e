"""What the limiter promises about many threads and processes at once."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common.pyportal_common.cache_handlers import (
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    RedisPoolExhausted,
)
from common.pyportal_common.redis_server import RedisServer

HAMMER = Path(__file__).with_name("hammer.py")


def hammer(
    server: RedisServer,
    client: RedisClient,
    *,
    processes: int,
    threads: int,
    hits: int,
    seconds: int,
    limit: str,
) -> tuple[int, list[int]]:
    """How many hits were admitted by their own account, and when by the server's clock (µs)."""
    arguments = [str(argument) for argument in (server.port, threads, hits, seconds, limit)]
    running = [
        subprocess.Popen(
            [sys.executable, str(HAMMER), *arguments], stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    deadline = time.monotonic() + 60
    while client.get("ready") != str(processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    client.set("go", 1)
    counts = [int(process.communicate(timeout=120)[0]) for process in running]
    return sum(counts), [int(at) for at in client.execute("LRANGE", "admissions", 0, -1)]


def test_1024_threads_of_16_processes_get_exactly_100(
    redis_server: RedisServer, redis_client: RedisClient
) -> None:
    admitted, times = hammer(
        redis_server, redis_client, processes=16, threads=64, hits=2, seconds=0, limit="100/600"
    )

    assert admitted == len(times) == 100


def test_never_above_20_in_any_trailing_2_seconds_of_10(
    redis_server: RedisServer, redis_client: RedisClient
) -> None:
    admitted, times = hammer(
        redis_server, redis_client, processes=2, threads=8, hits=0, seconds=10, limit="20/2"
    )

    assert admitted == len(times)
    windows = [sum(1 for at in times if end - 2_000_000 < at <= end) for end in times]
    assert max(windows) == 20
    assert 100 <= admitted <= 120  # what was used came back as soon as it might


def test_an_exhausted_pool_is_no_outage_and_admits_nobody(
    redis_server: RedisServer, connect: Callable[..., RedisClient]
) -> None:
    client = connect(redis_server, max_connections=1, pool_timeout=0.001)
    limiter = Limiter(client)
    policy = RateLimit("narrow", limit=50, window=600)
    admitted: list[bool] = []
    exhausted: list[RedisPoolExhausted] = []

    def hit() -> None:
        for _ in range(20):
            try:
                admitted.append(limiter.hit(Charge(policy, "everybody")).allowed)
            except RedisPoolExhausted as error:
                exhausted.append(error)

    threads = [threading.Thread(target=hit) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(admitted) + len(exhausted) == 32 * 20
    assert exhausted
    assert sum(admitted) <= 50
    assert client.breaker.is_open is False
    counted = client.hgetall("rate_limit:everybody")["narrow/600"]
    assert sum(int(entry.split(":")[1]) for entry in counted.split(",")) == sum(admitted)
