"""Who may call the admin API and open the console."""

from collections.abc import Callable

from ..admin_settings import AdminSettings
from ..web import login_required, rate_limit
from ..web.declarations import Route


def admins_only(settings: AdminSettings) -> Callable[[Route], Route]:
    """Require an admin with a recent login, and count the request for the limit "admin"."""
    require = login_required(role="admin", fresh_within=settings.admin_login_seconds)
    return lambda view: require(rate_limit("admin", by="user")(view))
