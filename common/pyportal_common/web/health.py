"""What the service is, and whether it is alive, ready and healthy."""

from collections.abc import Collection
from typing import Literal

from flask import Blueprint, Response
from pydantic import Field

from ..cache_handlers import RedisClient
from ..db.database import Database
from .responses import View, respond, responses


class ServiceDescription(View):
    """What a service is, and where to read on."""

    service: str
    title: str
    version: str
    docs: str = Field("/docs", description="The API documentation, for people.")
    openapi: str = Field("/openapi.json", description="The same, for programs.")
    health: str = "/health"


class Liveness(View):
    """Whether the process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(View):
    """Whether the service can serve requests."""

    status: Literal["ok", "unavailable"]


class Checks(View):
    """The state of each dependency."""

    redis: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"] | None = Field(
        None, exclude_if=lambda state: state is None
    )


class Health(View):
    """The state of a service and of its dependencies."""

    service: str
    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks


def health_routes(
    service: str,
    title: str,
    version: str,
    redis_clients: Collection[RedisClient],
    database: Database | None,
) -> Blueprint:
    """GET /, /livez, /readyz and /health, of a service with or without a SQL database.

    Without its SQL database a service is not ready. Without Redis it is ready but degraded: each
    use decides what an outage of Redis means, and removing every instance would make it worse.
    """
    routes = Blueprint("health", __name__)

    @routes.get("/")
    @responses(ServiceDescription)
    def describe_service() -> Response:
        """Describe the service and link to its documentation."""
        return respond(ServiceDescription(service=service, title=title, version=version))

    @routes.get("/livez")
    @responses(Liveness)
    def livez() -> Response:
        """Check that the process is alive."""
        return respond(Liveness())

    @routes.get("/readyz")
    @responses(Readiness, also=503)
    def readyz() -> Response:
        """Check that the service can serve requests: its SQL database responds."""
        if database is None or database.ping():
            return respond(Readiness(status="ok"))
        return respond(Readiness(status="unavailable"), 503)

    @routes.get("/health")
    @responses(Health, also=503)
    def health() -> Response:
        """Show the state of the service, of its SQL database and of Redis."""
        checks = Checks(
            redis=_state(all(client.ping() for client in redis_clients)),
            database=None if database is None else _state(database.ping()),
        )
        if checks.database == "unavailable":
            return respond(Health(service=service, status="unavailable", checks=checks), 503)
        status = "ok" if checks.redis == "ok" else "degraded"
        return respond(Health(service=service, status=status, checks=checks))

    return routes


def _state(responds: bool) -> Literal["ok", "unavailable"]:
    return "ok" if responds else "unavailable"
