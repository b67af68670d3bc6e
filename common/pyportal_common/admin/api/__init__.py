"""The admin API: the operations of a service under /api/v1/airliner/admin."""

from flask import Blueprint

from ...admin_settings import AdminSettings
from ...operations import Operations
from .limits import limit_routes


def admin_routes(operations: Operations, settings: AdminSettings) -> Blueprint:
    """The routes of the admin API."""
    routes = Blueprint("admin", __name__, url_prefix="/api/v1/airliner/admin")
    routes.register_blueprint(limit_routes(operations.limits, settings))
    return routes
