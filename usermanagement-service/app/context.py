"""What every request works with: the service's collaborators, and who asks."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from flask import current_app

from common.pyportal_common.cache_handlers import Limiter, RateLimit, SessionStore
from common.pyportal_common.db import Database
from common.pyportal_common.web import Problem, current_session, current_user_id

from . import logins
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper

PREFIX = "/api/v1/airliner"


@dataclass(frozen=True)
class Collaborators:
    """What the routes work with; create_app makes it."""

    database: Database
    passwords: Passwords
    redis_helper: UserManagementRedisHelper
    sessions: SessionStore
    limiter: Limiter
    login_failures: RateLimit


def collaborators() -> Collaborators:
    """Those of the app that serves this request."""
    found: Collaborators = current_app.extensions["usermanagement"]
    return found


def require_owner_or_admin(user_id: int) -> None:
    """403 for who is neither that user nor an admin."""
    session = current_session()
    if user_id != session.user_id and session.user_data.get("role") != "admin":
        raise Problem(403, "You may not do this")


def confirmation() -> AbstractContextManager[None]:
    """Around what a password confirms: wrong ones count as failed logins of who asks."""
    mine = collaborators()
    name = current_session().user_data.get("username")
    return logins.counting_failures(
        str(name or current_user_id()), limiter=mine.limiter, failures=mine.login_failures
    )
