"""User Management."""

from pathlib import Path

from flask import Flask

from common.pyportal_common.cache_handlers import (
    Cache,
    Limiter,
    SessionStore,
    get_redis_client,
    get_session_client,
)
from common.pyportal_common.db import Database
from common.pyportal_common.web import create_service

from . import routes, session_routes
from .commands import commands
from .context import Collaborators
from .passwords import Passwords
from .problems import register_problems
from .redis_helper import REDIS_DB, UserManagementRedisHelper
from .settings import UserManagementSettings

NAME = "usermanagement"
MIGRATIONS = Path(__file__).parent.parent / "migrations"


def create_app(settings: UserManagementSettings | None = None) -> Flask:
    """The service's WSGI application. Raises ConfigurationError."""
    settings = settings or UserManagementSettings.load()
    redis_client = get_redis_client(default_db=REDIS_DB)
    sessions = SessionStore(get_session_client())
    database = Database(
        settings.database_url_for(NAME), cache=Cache(redis_client), sessions=sessions
    )
    app = create_service(
        NAME,
        settings,
        title="User Management",
        redis_client=redis_client,
        sessions=sessions,
        database=database,
        migrations=MIGRATIONS,
    )
    app.extensions[NAME] = Collaborators(
        database=database,
        sessions=sessions,
        limiter=Limiter(redis_client, service=NAME),
        login_failures=settings.rate_limit_login_failures,
        passwords=Passwords(concurrency=settings.hash_concurrency),
        redis_helper=UserManagementRedisHelper(redis_client, sessions.client),
    )
    register_problems(app)
    app.register_blueprint(routes.routes)
    app.register_blueprint(session_routes.routes)
    app.cli.add_command(commands)
    return app
