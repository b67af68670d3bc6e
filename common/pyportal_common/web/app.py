"""The application factory that every service's factory starts from."""

import json
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click
from flask import Flask, Request
from flask.cli import AppGroup
from flask.sessions import NullSession, SessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

from ..cache_handlers import RateLimit, Stores, declared_in
from ..command_examples import CommandWithExample
from ..db import Database
from ..db.database import cause_of
from ..extension import PortalSettings
from ..extension.state import install
from ..logging import configure_logging
from ..settings import ConfigurationError, ServiceSettings
from .admission import RouteGuard
from .auth import user_of_request
from .cors import Cors
from .current_state import CurrentState
from .declarations import IdConverter, check_read, operation_of
from .health import Check, health_routes, read_health
from .idempotency import Idempotency
from .keyed_requests import has_secrets
from .metrics import Metrics, metrics_routes
from .pages import page_files
from .path_prefix import PathPrefix
from .pipeline import register_pipeline
from .problem_pages import problem_routes
from .problem_types import CommonProblem, ProblemType
from .problems import ProblemTable, register_problems
from .security_headers import SecurityHeaders
from .static_pages import docs_routes


class UnknownRateLimit(Exception):
    """A route declares a rate limit that the service's settings do not define."""


class UserLimitWithoutLogin(Exception):
    """A route declares a rate limit by user, and does not require one to log in."""


class SecretsNotCompared(Exception):
    """An idempotent route has secrets in its body, and does not say how to compare them."""


class _NoSessionCookies(SessionInterface):
    """Flask's own sessions are not used: see `auth`."""

    _none = NullSession()

    def open_session(self, _app: Flask, _request: Request) -> NullSession:
        return self._none


class _Service(Flask):
    """A Flask app that checks what its routes declare when they are registered."""

    rate_limits: dict[str, RateLimit]
    path_prefix = ""
    session_interface = _NoSessionCookies()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No function of ours is asynchronous, so none is inspected at each call."""
        return func

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Any = None,
        *args: Any,
        **options: Any,
    ) -> None:
        if self.path_prefix and f"{rule}/".startswith(f"{self.path_prefix}/"):
            raise ConfigurationError(f"PATH_PREFIX: the service itself has the path {rule}")
        operation = operation_of(view_func)
        check_read(rule, options.get("methods") or ("GET",), operation)
        for limit in operation.limits:
            if limit.name not in self.rate_limits:
                known = ", ".join(sorted(self.rate_limits)) or "none"
                raise UnknownRateLimit(
                    f"the route {rule} ({endpoint}) names the rate limit {limit.name!r}, "
                    f"but the settings define: {known}"
                )
            if limit.by == "user" and operation.requirement is None:
                raise UserLimitWithoutLogin(f"the route {rule} ({endpoint}): add @login_required()")
        if operation.idempotent and not operation.compares_secrets and has_secrets(operation.body):
            raise SecretsNotCompared(f"the route {rule} ({endpoint}): add same_secrets=")
        super().add_url_rule(rule, endpoint, view_func, *args, **options)


def create_service(
    name: str,
    settings: ServiceSettings,
    *,
    title: str,
    stores: Stores,
    database: Database | None = None,
    migrations: Path | None = None,
    problems: ProblemTable | None = None,
    problem_types: Iterable[ProblemType] = (),
    checks: Sequence[Check] = (),
    introduction: str = "",
) -> Flask:
    """Create a Flask app with everything that the services share.

    It has logging, request ids, error bodies, body size limits, rate limits, health checks,
    /metrics, /openapi.json, and /docs with a `title` and an `introduction` in Markdown. Routes can
    require a login, and accept idempotency keys if there is a `database`. `migrations` adds the
    commands `flask db`. `problems` maps the service's errors to responses; the pages under
    /problems describe their `problem_types`. `checks` add to /health and /metrics. The clients of
    the `stores` report to the app's metrics. What the extension offers, such as `portal.cached`,
    uses the same stores. Opens no connection.
    """
    configure_logging(settings.log_format, settings.log_level)
    app = _Service(name, static_folder=None)
    app.rate_limits = declared_in(settings)
    app.config["MAX_BODY_BYTES"] = settings.max_body_bytes
    app.config["TITLE"] = title
    app.config["TRACE_CLIENTS"] = settings.trace_clients
    app.config["TRUSTED_ORIGINS"] = {settings.public_url, *settings.cors_origins}
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
    if settings.path_prefix:
        app.path_prefix = settings.path_prefix
        app.wsgi_app = PathPrefix(app.wsgi_app, settings.path_prefix)  # type: ignore[method-assign]
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    app.url_map.converters["id"] = IdConverter
    app.extensions["service_tokens"] = settings.services_by_token()
    metrics = app.extensions["metrics"] = Metrics()
    clients = {stores.cache.client, stores.sessions.client}
    for client in clients:
        client.observe(metrics)
    app.extensions["redis_clients"] = clients
    metrics.watch_pool("redis", lambda: max(client.connections_in_use for client in clients))
    register_problems(app, problems or {})
    state = install(
        app,
        PortalSettings.load(limit_headers="x", limits_enabled=True),
        stores,
        user=user_of_request,
        values_of=stores.cache.client,
    )
    guard = RouteGuard(state, app.rate_limits)
    security = SecurityHeaders(settings.public_url)
    register_pipeline(app, metrics, guard, Cors(settings.cors_origins), security)
    if database is not None:
        metrics.watch_pool("sql", lambda: database.connections_in_use)
        app.extensions["idempotency"] = Idempotency(database, metrics)
    state_now = CurrentState(clients, database, settings.data_dir)
    app.register_blueprint(metrics_routes(metrics, [state_now, *checks]))
    app.extensions["health"] = partial(read_health, name, clients, database, checks)
    app.register_blueprint(health_routes(name, title, clients, database, checks))
    app.register_blueprint(problem_routes(title, [*CommonProblem, *problem_types]))
    app.register_blueprint(page_files())
    app.register_blueprint(docs_routes(app, title, introduction, app.rate_limits))
    if migrations is not None:
        app.cli.add_command(_database_commands(settings.database_url_for(name), migrations))
    return app


def _database_commands(url: str, migrations: Path) -> AppGroup:
    commands = AppGroup("db", help="The service's SQL database.")

    @commands.command("upgrade", cls=CommandWithExample, example="db upgrade")
    def upgrade() -> None:
        """Migrate the schema to its newest version. That of a later release stays as it is."""
        from sqlalchemy.exc import OperationalError

        from ..db.migrations import migrate
        from ..db.schema import is_of_later_release

        try:
            if is_of_later_release(url, migrations):
                click.echo("The schema is that of a later release, and stays as it is")
            else:
                migrate(url, migrations)
        except OperationalError as error:
            message = f"The SQL database does not answer: {cause_of(error)}"
            raise click.ClickException(message) from None

    @commands.command("wait", cls=CommandWithExample, example="db wait")
    def wait() -> None:
        """Wait until the schema has been migrated to this release, or to a later one."""
        from ..db.schema import wait_for_schema

        # The first process of a container ignores signals that it does not handle.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        wait_for_schema(url, migrations, report=click.echo)

    @commands.command(
        "failing-invalidations", cls=CommandWithExample, example="db failing-invalidations"
    )
    def failing_invalidations() -> None:
        """List the invalidations that Redis refuses."""
        from ..db.records import Records

        with closing(Records.open(url)) as records:
            failing = records.failing(limit=1000)
        for row in failing:
            kinds = sorted({key.rpartition(":")[0] for key in json.loads(row.keys)})
            click.echo(
                f"record {row.id} of {row.created_at:%Y-%m-%d %H:%M:%S} UTC, "
                f"{', '.join(kinds) or 'sessions'}: {row.reason} "
                f"({row.failures} failures, next attempt {row.retry_at:%H:%M:%S})"
            )

    return commands
