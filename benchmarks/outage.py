"""What an outage of Redis adds to a registration over HTTP, with one gunicorn worker."""

import time
from collections.abc import Callable
from statistics import median

from .figures import print_row
from .scale import Scale
from .servers import temporary_redis
from .usermanagement import Users, usermanagement


def run(scale: Scale) -> None:
    """Print the times of registrations for a killed and for a hung server."""
    with temporary_redis() as (server, folder), usermanagement(server, folder) as users:
        print_row("ms a registration", "before", "first", "during", "back")
        _measure("Redis killed", users, scale, server.kill, server.start)
        _measure("Redis hung (SIGSTOP)", users, scale, server.pause, server.resume)
    print(
        "\nbefore, during: medians; first: the registration that meets the outage; "
        "back: until a probe reaches Redis"
    )


def _measure(
    name: str, users: Users, scale: Scale, begin: Callable[[], None], end: Callable[[], None]
) -> None:
    before = median(users.register() for _ in range(scale.registrations))
    begin()
    first = users.register()
    during = median(users.register() for _ in range(scale.registrations))
    end()
    ended = time.perf_counter()
    while b'"redis":"ok"' not in users.request("GET", "/health")[1]:
        time.sleep(0.005)
    back = (time.perf_counter() - ended) * 1000
    print_row(name, f"{before:.1f}", f"{first:.1f}", f"{during:.1f}", f"{back:.0f}")
