"""The service's description, and its liveness, readiness and health checks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from flask import Blueprint, Response
from prometheus_client import Metric
from pydantic import Field

from .. import __version__
from ..cache_handlers import RedisClient
from ..db import Database
from .responses import View, respond, responses


class ServiceDescription(View):
    """A service, and where its documentation is."""

    service: str
    title: str
    version: str
    docs: str = Field("/docs", description="The API documentation.")
    openapi: str = Field("/openapi.json", description="The API documentation as OpenAPI.")
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
    workers: Literal["ok", "silent", "none"] | None = Field(
        None,
        exclude_if=lambda state: state is None,
        description="`silent`: a worker was killed, or hangs. `none`: none runs.",
    )
    jobs: Literal["ok", "late"] | None = Field(
        None,
        exclude_if=lambda state: state is None,
        description="`late`: a job has been due for long, and no worker has started it.",
    )
    messages: Literal["ok", "refused"] | None = Field(
        None,
        exclude_if=lambda state: state is None,
        description="`refused`: messages to other services have failed for good.",
    )


class Check(Protocol):
    """More that a service reports on, as `jobs.JobsMonitor` does."""

    def states(self) -> Mapping[str, str]:
        """Fields of `Checks`. Another state than "ok" makes the service degraded."""

    def collect(self) -> Iterable[Metric]:
        """The metrics at this moment."""


class Health(View):
    """The state of a service and of its dependencies."""

    service: str
    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks


def health_routes(
    service: str,
    title: str,
    redis_clients: Collection[RedisClient],
    database: Database | None,
    more: Sequence[Check] = (),
) -> Blueprint:
    """The routes /, /livez, /readyz and /health of a service with or without a SQL database.

    A service is not ready while its SQL database is down. While Redis is down it is ready but
    degraded: every use of Redis has its own fallback, and removing all instances from a load
    balancer would make the outage worse.
    """
    routes = Blueprint("health", __name__)

    @routes.get("/")
    @responses(ServiceDescription)
    def describe_service() -> Response:
        """Describe the service and link to its documentation."""
        return respond(ServiceDescription(service=service, title=title, version=__version__))

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
        """Show the state of the service, of its SQL database, of Redis and of its jobs."""
        checks = Checks(
            redis=_state(all(client.ping() for client in redis_clients)),
            database=None if database is None else _state(database.ping()),
        )
        if checks.database == "unavailable":
            return respond(Health(service=service, status="unavailable", checks=checks), 503)
        states = {name: state for check in more for name, state in check.states().items()}
        checks = Checks.model_validate(checks.model_dump() | states)
        good = {checks.redis, *states.values()} == {"ok"}
        status = "ok" if good else "degraded"
        return respond(Health(service=service, status=status, checks=checks))

    return routes


def _state(responds: bool) -> Literal["ok", "unavailable"]:
    return "ok" if responds else "unavailable"
