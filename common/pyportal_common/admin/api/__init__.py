"""The admin API: the operations of a service under /api/v1/airliner/admin."""

from flask import Blueprint
from flask.blueprints import BlueprintSetupState

from ...admin_settings import AdminSettings
from ...operations import Operations, ReadCounts
from ...web.problems import add_problems
from ..guard import admins_only
from .audit import audit_routes
from .caches import cache_routes
from .databases import database_routes
from .doctor import doctor_routes
from .jobs import job_routes
from .kinds import kind_routes
from .limits import limit_routes
from .outbox import outbox_routes
from .paths import CONVERTERS
from .problems import OPERATION_PROBLEMS
from .sessions import session_routes


def admin_routes(
    operations: Operations, read_counts: ReadCounts, settings: AdminSettings
) -> Blueprint:
    """The routes of the admin API. Those about what a service has not are left out."""
    routes = Blueprint("admin", __name__, url_prefix="/api/v1/airliner/admin")
    routes.record(_prepare)
    admin = admins_only(settings)
    parts = [
        kind_routes(operations.job_kinds, admin),
        limit_routes(operations.limits, read_counts, admin),
        cache_routes(operations.caches, read_counts, admin),
        database_routes(operations.databases, admin),
        doctor_routes(operations.doctor, admin),
        audit_routes(operations.audit, admin),
    ]
    if operations.jobs.kinds:
        parts.append(job_routes(operations.jobs, admin))
    if operations.outbox is not None:
        parts.append(outbox_routes(operations.outbox, admin))
    if operations.sessions is not None:
        parts.append(session_routes(operations.sessions, admin))
    for part in parts:
        routes.register_blueprint(part)
    return routes


def _prepare(state: BlueprintSetupState) -> None:
    state.app.url_map.converters.update(CONVERTERS)
    add_problems(state.app, OPERATION_PROBLEMS)  # type: ignore[arg-type]  # it is a Flask
