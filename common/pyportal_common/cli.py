"""Commands about Redis for any app: `flask portal …`, or `python -m pyportal_common …`.

Flask finds them when the wheel is installed.
"""

import os

from .cache_handlers import RedisSettings, SessionSettings, check_server
from .extras import requires
from .redis_server import embedded_server, redis_server_on_path
from .settings import Load, exit_if_misconfigured, from_environment

with requires("cli"):
    import click


@click.group()
def portal() -> None:
    """The Redis of this app."""


@portal.command()
@click.option("--service", help="Also check the keys of this service's caches.")
def check(service: str | None) -> None:
    """Check the servers of the app's REDIS_* and SESSION_REDIS_* variables.

    As `Portal` reads them: from the configuration of the app, if it is run by `flask`, else from
    the environment. Exits with 1 if one of them cannot be used.
    """
    with exit_if_misconfigured():
        load = _load_for_app()
        caches = load(RedisSettings)
        sessions, session_db = load(SessionSettings).server(load)
    reports = [check_server(caches, caches.database(0), service=service)]
    if (sessions.address, session_db) != (caches.address, caches.database(0)):
        reports.append(check_server(sessions, session_db))
    for report in reports:
        for line in [*report.refusals, *report.warnings]:
            click.echo(line)
    if any(report.refusals for report in reports):
        raise click.exceptions.Exit(1)
    for address in dict.fromkeys([caches.address, sessions.address]):
        click.echo(f"Redis at {address} can be used")


def _load_for_app() -> Load:
    """How the app of the command `flask` loads settings. Without an app: from the environment."""
    info = click.get_current_context().obj  # Flask's ScriptInfo
    if not hasattr(info, "load_app"):
        return from_environment
    from .extension.configuration import load_from

    try:
        return load_from(info.load_app().config)
    except click.UsageError:  # there is no app
        return from_environment


@portal.command()
@click.option("--port", default=6379, show_default=True, type=click.IntRange(1, 65535))
def redis(port: int) -> None:
    """Run a server on 127.0.0.1 until Ctrl-C, for development. It keeps no data."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise click.ClickException(
            "redis-server is not installed: install it, or pip install 'pyportal-common[server]'"
        )
    options = f"--bind 127.0.0.1 --port {port} --appendonly no --save".split()
    os.execv(binary, [str(binary), *options, ""])  # noqa: S606  the server on PATH, or ours
