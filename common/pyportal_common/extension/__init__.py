"""The Flask extension: cached functions, rate limits and `flask.session` on the Redis layer.

It is independent of the services' web layer, so an app that has its own habits can use it. See
docs/extension.md.
"""

from .configuration import PortalSettings
from .portal import Portal

__all__ = [
    "Portal",
    "PortalSettings",
]
