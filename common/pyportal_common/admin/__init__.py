"""What operates a service from outside: commands, the admin API and the console."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..extras import requires

with requires("web"):
    from flask import Flask

    from ..admin_settings import AdminSettings
    from ..commands import commands_of
    from ..jobs.services import BaseServices
    from ..metrics import collected
    from ..operations import EventCounts, Operations
    from .api import admin_routes
    from .api.overview import overview_routes
    from .overview import Overviews

if TYPE_CHECKING:
    from .console import Console

__all__ = ["register_operations"]


def register_operations(
    app: Flask,
    services: BaseServices,
    migrations: Path,
    settings: AdminSettings,
    *,
    console_pages: Callable[["Console"], None] | None = None,
) -> Operations:
    """Add commands, the admin API and the console to the app of a service.

    The console only if the setting CONSOLE is not "off", with the `console_pages` of the service.
    Returns the operations.
    """
    operations = Operations(services, migrations)
    for command in commands_of(operations):
        app.cli.add_command(command)
    registry = app.extensions["metrics"].registry

    def read_counts() -> EventCounts:
        return EventCounts.of(collected(registry))

    overviews = Overviews(read_counts, app.extensions["health"], services.monitor)
    app.register_blueprint(admin_routes(operations, read_counts, settings))
    app.register_blueprint(overview_routes(overviews, settings))
    if settings.console != "off":
        from .console import console_routes  # which costs nothing while it is off

        app.register_blueprint(
            console_routes(app, operations, read_counts, overviews, settings, console_pages)
        )
    return operations
