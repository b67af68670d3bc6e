"""Whether the time of a response over HTTP reveals if a user exists."""

import json
from collections.abc import Callable

from ..scale import Scale
from ..servers import temporary_redis
from ..tables import Report, Table, percentiles
from ..usermanagement import Users, usermanagement

_PERCENTILES = (10, 25, 50, 75, 90)


def run(scale: Scale) -> Report:
    """Measure wrong logins, and requests for a reset link, of users who exist and do not."""
    with temporary_redis() as (server, folder), usermanagement(server, folder) as users:
        name = users.register()
        return Report(
            [
                _compare(users, name, _wrong_login, "a wrong login", scale),
                _compare(users, name, _request_reset, "a reset link", scale),
            ]
        )


def _compare(
    users: Users, name: str, measure: Callable[[Users, str], float], title: str, scale: Scale
) -> Table:
    """The distributions of both times, and how often the known one was longer."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for n in range(scale.attempts):  # in turns: noise affects both alike
        times["known"].append(measure(users, name))
        times["unknown"].append(measure(users, f"nobody{n}"))
    table = Table((f"{title}, ms at percentile", *map(str, _PERCENTILES)))
    for whose, values in times.items():
        table.add(whose, *percentiles(values, _PERCENTILES))
    pairs = [(k, u) for k in times["known"] for u in times["unknown"]]
    longer = sum(k > u for k, u in pairs) / len(pairs)
    table.note = (
        f"Known took longer than unknown in {longer:.0%} of all pairs; 50% reveals nothing."
    )
    return table


def _wrong_login(users: Users, name: str) -> float:
    body = json.dumps({"username": name, "password": "wrong-horse-battery"})
    return users.timed("POST", "/api/v1/airliner/login", body, status=401)


def _request_reset(users: Users, name: str) -> float:
    body = json.dumps({"email": f"{name}@example.com"})
    return users.timed("POST", "/api/v1/airliner/password/forgot", body, status=202)
