"""Checks a server for a person who starts the services."""

from dataclasses import dataclass

from ..keys import kinds_in
from .client import RedisClient
from .errors import RedisUnavailable
from .settings import RedisSettings


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What is wrong with a database, in lines to show. With `refusals` the services cannot work."""

    refusals: list[str]
    warnings: list[str]


def check_server(
    settings: RedisSettings, db: int, *, service: str | None = None, sessions: bool = True
) -> ServerReport:
    """What is wrong with a database for the caches of a `service` and for sessions.

    It takes at most the connect and read timeouts a few times. Pass
    `sessions=False` for a database without them.
    """
    client = RedisClient.connect(settings, db=db)
    if service is not None:
        client.uses(kinds_in("caches", service))
    if sessions:
        client.uses(kinds_in("sessions", service or ""))
    try:
        found = client.inspect()
    except RedisUnavailable as outage:
        return ServerReport([str(outage)], [])
    finally:
        client.close()
    return ServerReport(found.refusals(client.name), found.warnings(client.name))
