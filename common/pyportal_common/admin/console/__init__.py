"""The console: a service's operations as pages at /console, for admins in a browser.

Each page is a module here with a function `add_…_pages(console, operations)`, and a template.
"""

from collections.abc import Callable

from flask import Blueprint, Flask

from ...admin_settings import AdminSettings
from ...operations import Operations, ReadCounts
from ..overview import Overviews
from .audit import add_audit_pages
from .caches import add_cache_pages
from .console import Console, Link, Plan, link
from .doctor import add_doctor_page
from .forms import Form
from .jobs import add_job_pages
from .limits import add_limit_pages
from .outbox import add_outbox_pages
from .overview import add_overview_page
from .redis import add_redis_pages
from .schedules import add_schedule_pages
from .sessions import add_session_pages

__all__ = [
    "Console",
    "Form",
    "Link",
    "Plan",
    "console_routes",
    "link",
]


def console_routes(
    app: Flask,
    operations: Operations,
    read_counts: ReadCounts,
    overviews: Overviews,
    settings: AdminSettings,
    own_pages: Callable[[Console], None] | None = None,
) -> Blueprint:
    """The pages of the console. Those of what the service does not have are not there.

    `own_pages` adds pages that only this service has.
    """
    console = Console(
        app.config["TITLE"],
        settings,
        # Only the service with the sessions of users has a page to log in.
        login_at="" if operations.sessions is not None else settings.public_url,
    )
    databases = operations.databases
    add_overview_page(console, overviews)
    add_doctor_page(console, operations.doctor)
    add_job_pages(console, operations.jobs, operations.job_kinds, overviews.monitor)
    add_schedule_pages(console, operations.job_kinds)
    if operations.outbox is not None:
        add_outbox_pages(console, operations.outbox)
    add_cache_pages(console, operations.caches, databases, read_counts)
    if operations.sessions is not None:
        add_session_pages(console, operations.sessions)
    add_limit_pages(console, operations.limits, databases, read_counts)
    add_redis_pages(console, databases)
    if own_pages is not None:
        own_pages(console)
    add_audit_pages(console, operations.audit)
    console.add_unknown_pages()
    return console.routes
