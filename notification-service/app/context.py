"""What every request works with: the service's services, and who asks."""

from flask import current_app

from common.pyportal_common.web import current_service, current_user_id

from .notifications import Principal
from .services import NAME, Services

PREFIX = "/api/v1/airliner"


def services() -> Services:
    """Those of the app that serves this request."""
    found: Services = current_app.extensions[NAME]
    return found


def asker() -> Principal:
    """The service or the user that asks."""
    service = current_service()
    return Principal(None if service else current_user_id(), service)
