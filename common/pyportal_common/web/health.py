"""Whether a service lives, is ready, and how it is."""

from collections.abc import Collection
from typing import Literal

from flask import Blueprint, Response
from pydantic import Field

from ..cache_handlers import RedisClient
from ..db.database import Database
from .declarations import answers
from .requests import View, respond


class Liveness(View):
    """Whether the process lives."""

    status: Literal["ok"] = "ok"


class Readiness(View):
    """Whether the service can serve."""

    status: Literal["ok", "unavailable"]


class Checks(View):
    """What answers of all that a service stands on."""

    redis: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"] | None = Field(
        None, exclude_if=lambda answer: answer is None
    )


class Health(View):
    """How a service is."""

    service: str
    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks


def health_routes(
    service: str, redis_clients: Collection[RedisClient], database: Database | None
) -> Blueprint:
    """GET /livez, /readyz and /health, of a service with or without a SQL database.

    Without its SQL a service is not ready. Without Redis it is, only degraded: what an outage of
    Redis means is decided use by use, and taking every instance away would make it worse.
    """
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    @answers(Liveness)
    def livez() -> Response:
        """The process lives."""
        return respond(Liveness())

    @routes.get("/readyz")
    @answers(Readiness, also=503)
    def readyz() -> Response:
        """The service can serve: SQL answers."""
        if database is None or database.ping():
            return respond(Readiness(status="ok"))
        return respond(Readiness(status="unavailable"), 503)

    @routes.get("/health")
    @answers(Health, also=503)
    def health() -> Response:
        """How the service is, in words, and whether SQL and Redis answer."""
        checks = Checks(
            redis=_word(all(client.ping() for client in redis_clients)),
            database=None if database is None else _word(database.ping()),
        )
        if checks.database == "unavailable":
            return respond(Health(service=service, status="unavailable", checks=checks), 503)
        status = "ok" if checks.redis == "ok" else "degraded"
        return respond(Health(service=service, status=status, checks=checks))

    return routes


def _word(answers: bool) -> Literal["ok", "unavailable"]:
    return "ok" if answers else "unavailable"
