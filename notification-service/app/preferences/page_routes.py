"""The page of the front about preferences."""

from flask import Response

from common.pyportal_common.web import current_user_id
from common.pyportal_common.web.pages import FrontPages, done, given, show, url

from ..services import services
from .schemas import PreferenceChange

pages = FrontPages("preferences", __name__)


@pages.page("/preferences")
def preference_page() -> Response:
    """Show of what the user is notified, and on which channel."""
    return show("preferences.html", preferences=services().preferences.of_user(current_user_id()))


@pages.act("/preferences", again=preference_page)
def change_preferences() -> Response:
    """Change all preferences: those that are not checked are turned off."""
    user_id = current_user_id()
    wanted = given().all("wanted")
    changes = [
        PreferenceChange.model_validate(
            {
                "category": each.category,
                "channel": each.channel,
                "enabled": f"{each.category}.{each.channel}" in wanted,
            }
        )
        for each in services().preferences.of_user(user_id)
        if not each.required
    ]
    services().preferences.change(changes, user_id)
    return done(url("/app/preferences"), "Your preferences are changed.")
