"""A process that hits one limit from many threads; run by test_rate_limits_under_load.py.

Arguments: the port of a Redis server, threads, hits of each thread or 0, seconds or 0, the limit
as in 100/60. Prints how many hits were admitted, and records them in Redis.
"""

import sys
import time

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit

from .limit_states import recording
from .load import await_start, connect, run_threads

port, threads, hits, seconds = map(int, sys.argv[1:5])
rate_limit = RateLimit("load", 1, 1).parse(sys.argv[5])

client = connect(port, connections=threads)
limiter = Limiter(client)
limiter.script = recording(limiter.script)
admitted: list[int] = []


def hit_repeatedly() -> None:
    until = time.monotonic() + seconds
    left = hits
    count = 0
    while left > 0 or (not hits and time.monotonic() < until):
        left -= 1
        count += limiter.hit(Charge(rate_limit, "everybody")).allowed
    admitted.append(count)


await_start(client)
run_threads([hit_repeatedly] * threads)
print(sum(admitted) if len(admitted) == threads else "a thread failed")
