"""What every request works with."""

from flask import current_app

from .collaborators import NAME, Collaborators

PREFIX = "/api/v1/airliner"


def collaborators() -> Collaborators:
    """Those of the app that serves this request."""
    found: Collaborators = current_app.extensions[NAME]
    return found
