"""Whether the time of a password reset request reveals if an address has an account."""

import json

from .login import compare
from .scale import Scale
from .servers import temporary_redis
from .usermanagement import Users, usermanagement


def run(scale: Scale) -> None:
    """Print the times for the address of a user, and for addresses without one."""
    with temporary_redis() as (server, folder), usermanagement(server, folder) as users:
        users.register()
        compare(
            lambda _: _request_reset(users, "user0@example.com"),
            lambda n: _request_reset(users, f"none{n}@example.com"),
            attempts=scale.attempts,
        )


def _request_reset(users: Users, email: str) -> float:
    body = json.dumps({"email": email})
    return users.timed("POST", "/api/v1/airliner/password/forgot", body, status=202)
