"""Who may call the admin API and open the console."""

from typing import Protocol

from ..admin_settings import AdminSettings
from ..web import login_required, rate_limit
from ..web.declarations import Route


class Guard(Protocol):
    """What protects a route."""

    def __call__(self, view: Route, /) -> Route:
        """Protect it, and return it."""


def admins_only(settings: AdminSettings) -> Guard:
    """Require an admin with a recent login, and count the request for the limit "admin"."""
    require = login_required(role="admin", fresh_within=settings.admin_login_seconds)
    return lambda view: require(rate_limit("admin", by="user")(view))
