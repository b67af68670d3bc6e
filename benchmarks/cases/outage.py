"""What an outage of Redis adds to a registration over HTTP, with one gunicorn worker."""

import time
from collections.abc import Callable
from statistics import median

from ..scale import Scale
from ..servers import temporary_redis
from ..tables import Report, Table
from ..usermanagement import API, Users, new_name, registration, usermanagement


def run(scale: Scale) -> Report:
    """Measure registrations for a killed and for a hung server."""
    table = Table(("ms a registration", "before", "first", "during", "back"))
    with temporary_redis() as (server, folder), usermanagement(server, folder) as users:
        table.add("Redis killed", *_measure(users, scale, server.kill, server.start))
        table.add("Redis hung (SIGSTOP)", *_measure(users, scale, server.pause, server.resume))
    return Report([table])


def _register(users: Users) -> float:
    """The ms that a registration takes."""
    return users.timed("POST", f"{API}/registerUser", registration(new_name()), status=201)


def _measure(
    users: Users, scale: Scale, begin: Callable[[], None], end: Callable[[], None]
) -> list[str]:
    before = median(_register(users) for _ in range(scale.registrations))
    begin()
    first = _register(users)
    during = median(_register(users) for _ in range(scale.registrations))
    end()
    ended = time.perf_counter()
    while b'"redis":"ok"' not in users.request("GET", "/health")[1]:
        time.sleep(0.005)
    back = (time.perf_counter() - ended) * 1000
    return [f"{milliseconds:.1f}" for milliseconds in (before, first, during, back)]
