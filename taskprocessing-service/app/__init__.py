"""Task Processing."""

from pathlib import Path

from flask import Flask

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.web import create_service

from . import bookings as bookings  # its task types
from . import flight_routes, routes
from .problems import PROBLEMS
from .redis_helper import REDIS_DB
from .services import NAME, Services
from .settings import TaskProcessingSettings

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def create_app(settings: TaskProcessingSettings | None = None) -> Flask:
    """The service's WSGI application. Raises ConfigurationError."""
    settings = settings or TaskProcessingSettings.load()
    redis_client = get_redis_client(default_db=REDIS_DB)
    mine = Services.of(settings, redis_client)
    app = create_service(
        NAME,
        settings,
        title="Task Processing",
        redis_client=redis_client,
        sessions=mine.sessions,
        limiter=mine.limiter,
        database=mine.database,
        migrations=MIGRATIONS,
        problems=PROBLEMS,
    )
    app.extensions[NAME] = mine
    app.register_blueprint(routes.routes)
    app.register_blueprint(flight_routes.routes)
    return app
