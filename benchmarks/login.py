"""Whether the time of a login tells known users from unknown ones, over HTTP."""

import json
from collections.abc import Callable
from statistics import quantiles

from .servers import own_redis
from .service import Users, service

_ATTEMPTS = 300
_BANDS = (10, 25, 50, 75, 90)


def run() -> None:
    """Print the distributions of wrong logins: of a user that there is, and of nobody."""
    with own_redis() as (redis, folder), service(redis, folder) as users:
        users.register()
        compare(lambda _: _wrong_login(users, "user0"), lambda n: _wrong_login(users, f"nobody{n}"))


def compare(known: Callable[[int], float], unknown: Callable[[int], float]) -> None:
    """Print how the milliseconds of both are distributed, and whether that tells them apart."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for n in range(_ATTEMPTS):  # in turns: a noisy second hits both alike
        times["known"].append(known(n))
        times["unknown"].append(unknown(n))
    print(f"{'ms, percentile':<16}" + "".join(f"{band:>8}" for band in _BANDS))
    for name, values in times.items():
        cuts = quantiles(values, n=100)
        print(f"{name:<16}" + "".join(f"{cuts[band - 1]:>8.1f}" for band in _BANDS))
    pairs = [(k, u) for k in times["known"] for u in times["unknown"]]
    longer = sum(k > u for k, u in pairs) / len(pairs)
    print(f"\nknown took longer than unknown in {longer:.0%} of all pairs; 50 % tells nothing")


def _wrong_login(users: Users, name: str) -> float:
    body = json.dumps({"username": name, "password": "wrong-horse-battery"})
    status, milliseconds = users.timed("POST", "/api/v1/airliner/login", body)
    if status != 401:
        raise SystemExit(f"a wrong login was answered {status}")
    return milliseconds
