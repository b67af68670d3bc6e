"""What every request works with."""

from flask import current_app

from .services import NAME, Services

PREFIX = "/api/v1/airliner"


def services() -> Services:
    """Those of the app that serves this request."""
    found: Services = current_app.extensions[NAME]
    return found
