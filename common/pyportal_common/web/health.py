"""Whether a service lives, is ready, and how it is."""

from flask import Blueprint, Response, jsonify

from ..cache_handlers import RedisClient
from ..db import Database


def health_routes(service: str, redis_client: RedisClient, database: Database | None) -> Blueprint:
    """GET /livez, /readyz and /health, of a service with or without a SQL database.

    Without its SQL a service is not ready. Without Redis it is, only degraded: what an outage of
    Redis means is decided use by use, and taking every instance away would make it worse.
    """
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    def livez() -> Response:
        return jsonify(status="ok")

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        ready = database is None or database.ping()
        return jsonify(status="ok" if ready else "unavailable"), 200 if ready else 503

    @routes.get("/health")
    def health() -> tuple[Response, int]:
        checks = {"redis": redis_client.ping()}
        if database is not None:
            checks["database"] = database.ping()
        status = "ok" if all(checks.values()) else "degraded"
        if not checks.get("database", True):
            status = "unavailable"
        words = {name: "ok" if well else "unavailable" for name, well in checks.items()}
        body = jsonify(service=service, status=status, checks=words)
        return body, 503 if status == "unavailable" else 200

    return routes
