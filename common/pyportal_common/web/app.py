"""The factory that every service's own factory begins with."""

from pathlib import Path

from flask import Flask
from flask.cli import AppGroup
from werkzeug.middleware.proxy_fix import ProxyFix

from .. import __version__
from ..cache_handlers import IdempotencyStore, Limiter, RateLimit, RedisClient, SessionStore
from ..db.database import Database
from ..logging import configure_logging
from ..settings import ServiceSettings
from .admission import register_admission
from .declarations import IdConverter
from .health import health_routes
from .idempotency import register_idempotency
from .limits import register_limit_headers
from .metrics import Metrics, register_metrics
from .problems import register_problems
from .requests import refuse_declared_size
from .service_tokens import tokens_of
from .static_pages import docs_routes
from .tracing import register_tracing


def create_service(
    name: str,
    settings: ServiceSettings,
    *,
    title: str,
    redis_client: RedisClient,
    sessions: SessionStore | None = None,
    database: Database | None = None,
    migrations: Path | None = None,
) -> Flask:
    """A Flask app with all that services share, and no routes of its own but what describes it.

    Logs, request ids, error bodies, the bound on bodies, rate limits by the settings named
    `rate_limit_…`, idempotency keys, health checks, /metrics, /openapi.json and /docs under
    `title`. With `sessions` routes may require a login, with `migrations` there is the command
    `flask db upgrade`. Becomes the observer of the clients. Opens no connection.
    """
    configure_logging(settings.log_format, settings.log_level)
    app = Flask(name, static_folder=None)
    app.config["MAX_BODY_BYTES"] = settings.max_body_bytes
    app.config["PUBLIC_URL"] = settings.public_url
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    app.url_map.converters["id"] = IdConverter
    app.extensions["service_tokens"] = tokens_of(settings.service_tokens.get_secret_value())
    policies = policies_of(settings)
    metrics = app.extensions["metrics"] = Metrics()
    clients = {redis_client, sessions.client} if sessions is not None else {redis_client}
    for client in clients:
        client.observe(metrics)
    register_problems(app)
    register_tracing(app)
    register_metrics(app, metrics)
    register_limit_headers(app)
    # Limits are where the sessions are: so both are asked in one trip.
    limits_client = sessions.client if sessions is not None else redis_client
    register_admission(app, Limiter(limits_client, service=name), sessions, policies)
    app.before_request(refuse_declared_size)
    register_idempotency(app, IdempotencyStore(redis_client, service=name))
    app.register_blueprint(health_routes(name, clients, database))
    app.register_blueprint(docs_routes(app, title, __version__, policies))
    if migrations is not None:
        app.cli.add_command(_database_commands(settings.database_url_for(name), migrations))
    return app


def policies_of(settings: ServiceSettings) -> dict[str, RateLimit]:
    """The rate limits among the settings, by name."""
    values = (getattr(settings, field) for field in type(settings).model_fields)
    return {value.name: value for value in values if isinstance(value, RateLimit)}


def _database_commands(url: str, migrations: Path) -> AppGroup:
    commands = AppGroup("db", help="The service's SQL database.")

    @commands.command("upgrade", help="Bring the schema to the newest migration.")
    def upgrade() -> None:
        from ..db.migrations import migrate

        migrate(url, migrations)

    return commands
