"""Whether a service lives, is ready, and how it is."""

from flask import Blueprint, Response, jsonify

from ..cache_handlers import RedisClient
from ..db import Database


def health_routes(service: str, database: Database, redis_client: RedisClient) -> Blueprint:
    """GET /livez, /readyz and /health.

    Without SQL a service is not ready. Without Redis it is, only degraded: what an outage of
    Redis means is decided use by use, and taking every instance away would make it worse.
    """
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    def livez() -> Response:
        return jsonify(status="ok")

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        ready = database.ping()
        return jsonify(status="ok" if ready else "unavailable"), 200 if ready else 503

    @routes.get("/health")
    def health() -> tuple[Response, int]:
        checks = {"database": database.ping(), "redis": redis_client.ping()}
        status = "ok" if all(checks.values()) else "degraded"
        if not checks["database"]:
            status = "unavailable"
        words = {name: "ok" if well else "unavailable" for name, well in checks.items()}
        body = jsonify(service=service, status=status, checks=words)
        return body, 503 if status == "unavailable" else 200

    return routes
