"""The Flask extension: cached functions, rate limits and `flask.session` on the Redis layer.

It is independent of the services' web layer, so an app that has its own habits can use it. See
docs/extension.md.
"""

from ..extras import requires

with requires("flask"):
    from .addresses import client_network
    from .cached import Cached
    from .callers import Caller, header, json_field
    from .configuration import PortalSettings
    from .key_templates import InvalidKey
    from .limit_exceeded import LimitExceeded
    from .limit_headers import limit_headers
    from .portal import Portal

__all__ = [
    "Cached",
    "Caller",
    "InvalidKey",
    "LimitExceeded",
    "Portal",
    "PortalSettings",
    "client_network",
    "header",
    "json_field",
    "limit_headers",
]
