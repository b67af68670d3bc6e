"""User Management with one addition: a rate limit on the route that reads a user."""

from app import create_app  # type: ignore[import-not-found]  # it starts in the service's folder
from app.settings import UserManagementSettings  # type: ignore[import-not-found]  # as above
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.web import rate_limit


class Settings(UserManagementSettings):  # type: ignore[misc]  # see the imports
    """The service's settings, and RATE_LIMIT_SHOW_USER."""

    rate_limit_show_user: RateLimit = RateLimit("show-user", 1_000_000, 60)


application = create_app(Settings.load())
rate_limit("show-user")(application.view_functions["users.show_user"])
