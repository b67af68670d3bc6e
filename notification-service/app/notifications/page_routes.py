"""The pages of the front about a user's notifications."""

import re
from typing import Any

from flask import Response

from common.pyportal_common.web import current_user_id
from common.pyportal_common.web.pages import FrontPages, done, read_query, show, url

from ..services import services
from .schemas import NotificationSearch

pages = FrontPages("inbox", __name__)

HOME = "/app/inbox"

_TASK = re.compile(r"/tasks/([1-9][0-9]*)$")


@pages.page("/inbox")
def inbox() -> Response:
    """Show the user's notifications, the newest first."""
    search = read_query(NotificationSearch)
    user_id = current_user_id()
    return show(
        "inbox.html",
        page=services().inbox.page(search, user_id).value,
        search=search,
        unread=services().inbox.count_unread(user_id),
        page_of=page_of,
    )


@pages.act("/inbox/<id:notification_id>/read", again=inbox)
def mark_read(notification_id: int) -> Response:
    """Mark a notification as read."""
    services().inbox.mark_read(notification_id, current_user_id())
    return done(url("/app/inbox"), "The notification is marked as read.")


@pages.act("/inbox/read", again=inbox)
def mark_all_read() -> Response:
    """Mark all notifications as read."""
    services().inbox.mark_all_read(current_user_id())
    return done(url("/app/inbox"), "All notifications are marked as read.")


def page_of(notification: dict[str, Any]) -> str | None:
    """The page of the task that a notification is about."""
    found = _TASK.search(notification["link"] or "")
    return url(f"/app/bookings/{found[1]}") if found else None
