"""Commands about Redis for any app: `flask portal …`, or `python -m pyportal_common …`.

Flask finds them when the wheel is installed.
"""

import os

from .cache_handlers import RedisSettings, check_server
from .extras import requires
from .redis_server import embedded_server, redis_server_on_path
from .settings import exit_if_misconfigured

with requires("cli"):
    import click


@click.group()
def portal() -> None:
    """The Redis of this app."""


@portal.command()
@click.option("--service", help="Also check the keys of this service's caches.")
def check(service: str | None) -> None:
    """Check the server of the REDIS_* variables. Exits with 1 if it cannot be used."""
    with exit_if_misconfigured():
        settings = RedisSettings.load()
    report = check_server(settings, settings.database(0), service=service)
    for line in [*report.refusals, *report.warnings]:
        click.echo(line)
    if report.refusals:
        raise click.exceptions.Exit(1)
    click.echo(f"Redis at {settings.address} can be used")


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
