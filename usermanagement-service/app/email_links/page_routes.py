"""The pages that links in e-mails open. Opening one changes nothing."""

from flask import Blueprint, Response

from common.pyportal_common.web import current_user_id, rate_limit
from common.pyportal_common.web.pages import FrontPages, done, see_other, show, url

from ..services import services
from .schemas import PastedToken

pages = FrontPages("email_links", __name__)
old_routes = Blueprint("account", __name__, url_prefix="/account")


@old_routes.get("/<any(verify, reset, undo):purpose>")
def moved(purpose: str) -> Response:
    """Go to where a page is now. Browsers keep the fragment of the link, which has the token."""
    return see_other(url(f"/app/{purpose}"))


@pages.page("/verify", is_public=True)
def verify_page() -> Response:
    """Show the form of a link that verifies an e-mail address."""
    return show("verify.html")


@pages.act("/verify", form=PastedToken, again=verify_page, is_public=True)
def verify(form: PastedToken) -> Response:
    """Verify an e-mail address by a link."""
    services().email_links.verify(form.token.get_secret_value())
    return done(url("/app/profile"), "Your e-mail address is verified.")


@pages.act("/verify/send", again=verify_page)
@rate_limit("verification", by="user")
def send_link() -> Response:
    """Send another link."""
    services().email_links.send_verification(current_user_id())
    return done(url("/app/profile"), "A link has been sent to you.")


@pages.page("/keep", is_public=True)
def keep_page() -> Response:
    """Show the form of a link that cancels the removal of second factors."""
    return show("keep.html")


@pages.act("/keep", form=PastedToken, again=keep_page, is_public=True)
@rate_limit("reset")
def keep(form: PastedToken) -> Response:
    """Cancel the removal of second factors by a link."""
    services().factor_removals.cancel_by_link(form.token)
    return done(
        url("/app/login"),
        "Your second factors stay. Reset your password as well, if you did not ask for this.",
    )
