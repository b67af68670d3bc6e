"""Task Processing: flights, and the tasks that book seats on them."""

from pathlib import Path

from flask import Flask

from common.pyportal_common.admin import register_operations
from common.pyportal_common.web import LongPolls, create_service
from common.pyportal_common.web.pages import register_front

from .bookings import page_routes as booking_pages
from .bookings.routes import routes as booking_routes
from .flights import page_routes as flight_pages
from .flights.routes import routes as flight_routes
from .problems import PROBLEMS, TaskProblem
from .services import NAME, Services
from .settings import TaskProcessingSettings
from .tasks.routes import routes as task_routes

MIGRATIONS = Path(__file__).parent.parent / "migrations"
TEMPLATES = Path(__file__).parent / "templates"
_PREFIX = "/api/v1/airliner"

_INTRODUCTION = """\
Book seats on flights, cancel bookings, and export your tasks. Each of these is a *task*: the
request is accepted at once, and a worker runs it in the background.

1. Log in at User Management with `POST /api/v1/airliner/login`. Send its `session_id` as the bearer
   token: enter it under *Authorize* to try the calls on this page.
2. List the flights with `GET /flights`, and see the seats left on one with
   `GET /flights/{flight_id}/availability`.
3. Book seats: `POST /tasks` with the type `flight_booking`.
4. Poll `GET /tasks/{task_id}` until `status` is `completed`, `failed` or `cancelled`, with the
   header `Prefer: wait=20` to get the response when the status changes. `details` has the result,
   `error` the reason for a failure.
5. List what you have booked with `GET /bookings`, and cancel it with
   `POST /bookings/{booking_id}/cancel`. `POST /tasks/{task_id}/cancel` is for a task that has not
   ended.
6. Export all tasks: create a `data_export`, then download `GET /tasks/{task_id}/file`.
"""


def create_app(settings: TaskProcessingSettings | None = None) -> Flask:
    """Create the service's WSGI application. Raises ConfigurationError."""
    settings = settings or TaskProcessingSettings.load()
    services = Services(settings)
    app = create_service(
        NAME,
        settings,
        title="Task Processing",
        introduction=_INTRODUCTION,
        stores=services.stores,
        database=services.database,
        migrations=MIGRATIONS,
        problems=PROBLEMS,
        problem_types=TaskProblem,
        checks=[services.monitor],
    )
    app.extensions[NAME] = services
    services.monitor_caches()
    app.extensions["long_polls"] = LongPolls()
    register_operations(app, services, MIGRATIONS, settings)
    app.register_blueprint(task_routes, url_prefix=_PREFIX)
    app.register_blueprint(booking_routes, url_prefix=_PREFIX)
    app.register_blueprint(flight_routes, url_prefix=_PREFIX)
    pages = (flight_pages.pages, booking_pages.pages)
    register_front(app, settings, TEMPLATES, pages, home=flight_pages.HOME)
    return app
