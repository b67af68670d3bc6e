"""User Management."""

from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from common.pyportal_common.admin import register_operations
from common.pyportal_common.web import create_service
from common.pyportal_common.web.pages import register_front

from .commands import commands
from .devices import routes as device_routes
from .email_links import page_routes as email_link_pages
from .email_links import routes as email_link_routes
from .factors import page_routes as factor_pages
from .factors import routes as factor_routes
from .passwords import page_routes as password_pages
from .passwords import routes as password_routes
from .problems import PROBLEMS, UserProblem
from .services import NAME, Services
from .sessions import page_routes as session_pages
from .sessions import routes as session_routes
from .settings import UserManagementSettings
from .users import page_routes as user_pages
from .users import routes as user_routes

if TYPE_CHECKING:
    from common.pyportal_common.admin.console import Console

MIGRATIONS = Path(__file__).parent.parent / "migrations"
TEMPLATES = Path(__file__).parent / "templates"

_PREFIX = "/api/v1/airliner"
_INTRODUCTION = """\
Registers users and logs them in. The usual order of calls:

1. `POST /registerUser` creates a user and mails a link that verifies the e-mail address.
2. `POST /email/verify` verifies the address with the token of that link.
3. `POST /login` starts a session. Send its `session_id` as `Authorization: Bearer …` with every
   request that requires a login; in a browser the cookie does that.
4. `GET /users/{user_id}` shows the user.
5. `PATCH /users/{user_id}` changes the user, `PUT /users/{user_id}/password` the password.
6. `POST /logout` ends the session.

A user may add second factors by `/factors`; every login then requires one beside the password.
A user who has forgotten the password calls `POST /password/forgot`, then `POST /password/reset`
with the token of the mailed link. Users see and change themselves, also as
`/users/me`; admins see and change everyone.
"""


def create_app(
    settings: UserManagementSettings | None = None, services: Services | None = None
) -> Flask:
    """The service's WSGI application. Raises ConfigurationError."""
    settings = settings or UserManagementSettings.load()
    services = services or Services(settings)
    app = create_service(
        NAME,
        settings,
        title="User Management",
        introduction=_INTRODUCTION,
        stores=services.stores,
        database=services.database,
        migrations=MIGRATIONS,
        problems=PROBLEMS,
        problem_types=UserProblem,
        checks=[services.monitor],
    )
    app.extensions[NAME] = services
    services.monitor_caches()
    for module in (
        user_routes,
        session_routes,
        device_routes,
        password_routes,
        email_link_routes,
        factor_routes,
    ):
        app.register_blueprint(module.routes, url_prefix=_PREFIX)
    app.register_blueprint(email_link_pages.old_routes)
    modules = (session_pages, user_pages, password_pages, email_link_pages, factor_pages)
    pages = [module.pages for module in modules]
    register_front(app, settings, TEMPLATES, pages, home=session_pages.HOME)
    app.cli.add_command(commands)
    register_operations(app, services, MIGRATIONS, settings, console_pages=_add_console_pages)
    return app


def _add_console_pages(console: "Console") -> None:
    from .console_login import page_routes  # imports the console, which may be off

    page_routes.add_login_page(console)
