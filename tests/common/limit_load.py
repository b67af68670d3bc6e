"""A process that hits one limit from many threads; run by test_rate_limits_under_load.py.

Arguments: the port of a Redis server, threads, hits of each thread or 0, seconds or 0, the limit
as in 100/60. Prints how many hits were admitted. Starts when the key `go` appears. Each admission
is also pushed to the list `admissions`, with the server's time in microseconds.
"""

import sys
import threading
import time

from common.pyportal_common.cache_handlers import (
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    RedisSettings,
    Script,
)

port, threads, hits, seconds = map(int, sys.argv[1:5])
policy = RateLimit("hammer", 1, 1).parse(sys.argv[5])

settings = RedisSettings.load(
    url=f"redis://127.0.0.1:{port}",
    connect_timeout=20,
    read_timeout=20,
    pool_timeout=20,
    max_connections=threads,
    _env_file=None,
)
client = RedisClient.connect(settings, db=0)
limiter = Limiter(client)
limiter.script = Script.of(
    limiter.script.text.replace(
        "\nif admitted then\n",
        "\nif admitted then\n  redis.call('RPUSH', 'admissions', string.format('%.0f', now))\n",
    )
)
admitted: list[int] = []


def hammer() -> None:
    until = time.monotonic() + seconds
    left = hits
    count = 0
    while left > 0 or (not hits and time.monotonic() < until):
        left -= 1
        count += limiter.hit(Charge(policy, "everybody")).allowed
    admitted.append(count)


client.execute("INCR", "ready")
while client.get("go") is None:
    time.sleep(0.01)
workers = [threading.Thread(target=hammer) for _ in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(sum(admitted) if len(admitted) == threads else "a thread failed")
