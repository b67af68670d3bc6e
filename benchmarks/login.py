"""Whether the time of a response over HTTP reveals if a user exists."""

import json
from collections.abc import Callable
from statistics import quantiles

from .figures import print_row
from .scale import Scale
from .servers import temporary_redis
from .usermanagement import Users, usermanagement

_PERCENTILES = (10, 25, 50, 75, 90)


def run(scale: Scale) -> None:
    """Print the times of wrong logins, of a user who exists and of users who do not."""
    _compare(_wrong_login, scale)


def run_forgot(scale: Scale) -> None:
    """Print the times of requests for a reset link, for the address of a user and for others."""
    _compare(_request_reset, scale)


def _compare(measure: Callable[[Users, str], float], scale: Scale) -> None:
    """Print the distributions of both times, in ms, and how often the known one was longer."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    with temporary_redis() as (server, folder), usermanagement(server, folder) as users:
        users.register()
        for n in range(scale.attempts):  # in turns: noise affects both alike
            times["known"].append(measure(users, "user0"))
            times["unknown"].append(measure(users, f"nobody{n}"))
    print_row("ms, percentile", *map(str, _PERCENTILES))
    for name, values in times.items():
        cuts = quantiles(values, n=100)
        print_row(name, *(f"{cuts[percentile - 1]:.1f}" for percentile in _PERCENTILES))
    pairs = [(k, u) for k in times["known"] for u in times["unknown"]]
    longer = sum(k > u for k, u in pairs) / len(pairs)
    print(f"\nknown took longer than unknown in {longer:.0%} of all pairs; 50% reveals nothing")


def _wrong_login(users: Users, name: str) -> float:
    body = json.dumps({"username": name, "password": "wrong-horse-battery"})
    return users.timed("POST", "/api/v1/airliner/login", body, status=401)


def _request_reset(users: Users, name: str) -> float:
    body = json.dumps({"email": f"{name}@example.com"})
    return users.timed("POST", "/api/v1/airliner/password/forgot", body, status=202)
