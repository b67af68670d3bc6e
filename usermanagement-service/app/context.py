"""What every request works with: the service's services, and who asks."""

from contextlib import AbstractContextManager

from flask import current_app

from common.pyportal_common.web import Problem, current_session, current_user_id

from . import logins
from .services import NAME, Services

PREFIX = "/api/v1/airliner"


def services() -> Services:
    """Those of the app that serves this request."""
    found: Services = current_app.extensions[NAME]
    return found


def require_owner_or_admin(user_id: int) -> None:
    """403 for who is neither that user nor an admin."""
    session = current_session()
    if user_id != session.user_id and session.user_data.get("role") != "admin":
        raise Problem(403, "You may not do this")


def confirmation() -> AbstractContextManager[None]:
    """Around what a password confirms: wrong ones count as failed logins of who asks."""
    mine = services()
    name = current_session().user_data.get("username")
    return logins.counting_failures(
        str(name or current_user_id()),
        limiter=mine.limiter,
        failures=mine.settings.rate_limit_login_failures,
    )
