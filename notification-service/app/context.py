"""What every request works with: the service's collaborators, and who asks."""

from flask import current_app

from common.pyportal_common.web import current_service, current_user_id

from .collaborators import NAME, Collaborators
from .notifications import Asker

PREFIX = "/api/v1/airliner"


def collaborators() -> Collaborators:
    """Those of the app that serves this request."""
    found: Collaborators = current_app.extensions[NAME]
    return found


def asker() -> Asker:
    """The service or the user that asks."""
    service = current_service()
    return Asker(None if service else current_user_id(), service)
