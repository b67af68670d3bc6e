"""The service's description, and its liveness, readiness and health checks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from flask import Blueprint, Response, current_app, request
from prometheus_client import Metric
from pydantic import Field

from .. import __version__
from ..cache_handlers import RedisClient, State
from ..db import Database
from .pages.front_map import FRONT
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

    status: Literal["ok", "degraded", "unavailable"]
    redis: Literal["refusing", "unavailable"] | None = Field(
        None, exclude_if=lambda state: state is None, description="If Redis is not ok."
    )
    database: Literal["unavailable"] | None = Field(
        None, exclude_if=lambda state: state is None, description="If SQL does not answer."
    )


class Checks(View):
    """The state of each dependency."""

    redis: State = Field("ok", description="`refusing`: it answers commands with errors.")
    database: Literal["ok", "unavailable"] | None = Field(
        None, exclude_if=lambda state: state is None
    )
    workers: Literal["ok", "silent", "none"] | None = Field(
        None,
        exclude_if=lambda state: state is None,
        description="`silent`: a worker was killed, or hangs. `none`: none runs.",
    )
    jobs: Literal["ok", "late", "paused"] | None = Field(
        None,
        exclude_if=lambda state: state is None,
        description="`late`: a job has been due for long, and no worker has started it. "
        "`paused`: jobs of some kind are not started, because an operator has paused them.",
    )
    invalidations: Literal["ok", "failing"] | None = Field(
        None,
        exclude_if=lambda state: state is None,
        description="`failing`: Redis refuses to remove what a commit has changed.",
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


class RedisDatabase(View):
    """A Redis database that is not ok, and why, in a word: an error's code, or `timeout`."""

    name: str
    state: Literal["refusing", "unavailable"]
    reason: str


class Health(View):
    """The state of a service and of its dependencies."""

    service: str
    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks
    redis: list[RedisDatabase] = Field(
        [], exclude_if=lambda found: not found, description="The Redis databases that are not ok."
    )


def _states_of(checks: Sequence[Check], database: Database | None) -> dict[str, str]:
    states = {name: state for check in checks for name, state in check.states().items()}
    if database is not None and database.invalidations is not None:
        states["invalidations"] = "failing" if database.invalidations.failing else "ok"
    return states


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
        """Describe the service and link to its documentation.

        Browsers are redirected to the pages for users.
        """
        root = request.script_root
        if FRONT in current_app.extensions and _prefers_pages():
            target = {"Location": f"{root}/app", "Vary": "Accept"}
            return Response(status=303, headers=target)
        described = respond(
            ServiceDescription(
                service=service,
                title=title,
                version=__version__,
                docs=f"{root}/docs",
                openapi=f"{root}/openapi.json",
                health=f"{root}/health",
            )
        )
        described.vary.add("Accept")
        return described

    @routes.get("/livez")
    @responses(Liveness)
    def livez() -> Response:
        """Check that the process is alive."""
        return respond(Liveness())

    @routes.get("/readyz")
    @responses(Readiness, also=503)
    def readyz() -> Response:
        """Check that the service can serve requests: its SQL database responds."""
        worst = _worst(not_ok(redis_clients))
        redis = None if worst == "ok" else worst
        if database is not None and not database.ping():
            state = Readiness(status="unavailable", redis=redis, database="unavailable")
            return respond(state, 503)
        return respond(Readiness(status="degraded" if redis else "ok", redis=redis))

    @routes.get("/health")
    @responses(Health, also=503)
    def health() -> Response:
        """Show the state of the service, of its SQL database, of Redis and of its jobs."""
        state = read_health(service, redis_clients, database, more)
        return respond(state, 503 if state.status == "unavailable" else 200)

    return routes


def read_health(
    service: str,
    redis_clients: Collection[RedisClient],
    database: Database | None,
    more: Sequence[Check] = (),
) -> Health:
    """The state of a service and of its dependencies, as /health shows it."""
    found = not_ok(redis_clients)
    checks = Checks(redis=_worst(found))
    if database is not None:
        checks.database = "ok" if database.ping() else "unavailable"
    health = Health(service=service, status="ok", checks=checks, redis=found)
    if checks.database == "unavailable":
        health.status = "unavailable"
        return health
    states = _states_of(more, database)
    health.checks = Checks.model_validate(checks.model_dump() | states)
    if found or set(states.values()) - {"ok"}:
        health.status = "degraded"
    return health


def not_ok(clients: Collection[RedisClient]) -> list[RedisDatabase]:
    """The databases that do not accept commands. One round trip for each: a write, not only a PING.

    What this process has seen counts too: a server may refuse only some commands.
    """
    states = [(client.name, client.check()) for client in clients]
    return [
        RedisDatabase(name=name, state=status.state, reason=status.reason or "unknown")
        for name, status in sorted(states, key=lambda state: state[0])
        if status.state != "ok"
    ]


def _prefers_pages() -> bool:
    """Whether the client is a browser: it names HTML, and likes it better than JSON."""
    accepted = request.accept_mimetypes
    names_html = any(kind == "text/html" for kind in accepted.values())
    return names_html and accepted["text/html"] > accepted["application/json"]


def _worst(found: Collection[RedisDatabase]) -> State:
    states = {each.state for each in found}
    if "unavailable" in states:
        return "unavailable"
    return "refusing" if states else "ok"
