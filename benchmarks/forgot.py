"""Whether the time of a forgotten password tells addresses that somebody has from others."""

import json

from .login import compare
from .servers import own_redis
from .service import Users, service


def run() -> None:
    """Print the distributions: of an address that somebody has, and of addresses of nobody."""
    with own_redis() as (redis, folder), service(redis, folder) as users:
        users.register()
        compare(
            lambda _: _forget(users, "user0@example.com"),
            lambda n: _forget(users, f"none{n}@example.com"),
        )


def _forget(users: Users, email: str) -> float:
    body = json.dumps({"email": email})
    status, milliseconds = users.timed("POST", "/api/v1/airliner/password/forgot", body)
    if status != 202:
        raise SystemExit(f"a forgotten password was answered {status}")
    return milliseconds
