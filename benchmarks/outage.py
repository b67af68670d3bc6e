"""What an outage of Redis adds to a registration, over HTTP, with one gunicorn worker."""

import time
from collections.abc import Callable
from statistics import median

from .servers import own_redis
from .service import Users, service

_REQUESTS = 40


def run() -> None:
    """Print, for a server that is killed and one that hangs, what clients pay and when it ends."""
    with own_redis() as (redis, folder), service(redis, folder) as users:
        print(f"{'ms a registration':<34} {'usual':>7} {'first':>7} {'then':>7} {'back':>7}")
        _outage(users, "killed", redis.kill, redis.start)
        _outage(users, "hung (SIGSTOP)", redis.pause, redis.resume)
    print(
        "\nusual, then: medians; first: the one that meets the outage; back: until a probe sees it"
    )


def _outage(users: Users, name: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
    usual = median(users.register() for _ in range(_REQUESTS))
    begin()
    first = users.register()
    then = median(users.register() for _ in range(_REQUESTS))
    end()
    began = time.perf_counter()
    while b'"redis":"ok"' not in users.request("GET", "/health")[1]:
        time.sleep(0.005)
    back = (time.perf_counter() - began) * 1000
    print(f"Redis {name:<28} {usual:>7.1f} {first:>7.1f} {then:>7.1f} {back:>7.0f}")
